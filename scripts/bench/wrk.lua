-- One request for each device in turn, with its own token; a JSON line with the figures at the end.
local tokens = {}
local next_token = 0
local path, is_sealed

function init(args)
  path = args[1]
  is_sealed = args[2] == "sealed"
  if args[3] then
    for line in io.lines(args[3]) do tokens[#tokens + 1] = line end
  end
  math.randomseed(os.time())
end

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

local function nonce()
  local characters = {}
  for place = 1, 24 do
    local at = math.random(64)
    characters[place] = alphabet:sub(at, at)
  end
  return table.concat(characters)
end

function request()
  if #tokens == 0 then return wrk.format("GET", path) end
  next_token = next_token % #tokens + 1
  local headers = { ["Authorization"] = "Bearer " .. tokens[next_token] }
  if is_sealed then
    headers["Content-Type"] = "application/json"
    return wrk.format("POST", path, headers, '{"nonce":"' .. nonce() .. '"}')
  end
  return wrk.format("GET", path, headers)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"seconds":%.3f,"p50_ms":%.2f,"p99_ms":%.2f,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
