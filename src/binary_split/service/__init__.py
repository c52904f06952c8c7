"""What every HTTP service of ours is built of: sockets and TLS, bounds, problems, log lines, figures.

It knows neither the key service nor the agent; each puts its own routes between.
"""
