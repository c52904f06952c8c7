"""Everything that an administrator can do: its name, and where it is in the HTTP API.

Whoever asks over the network needs nothing but this table; ``performed`` says what each act does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

PREFIX = "/v1/admin"
_MEMBER = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Act:
    """One act.

    Attributes:
        name: also OpenAPI's operation id.
        method: ``GET`` changes nothing; its members are the query. Those of a ``POST`` are its JSON body.
        path: below ``/v1/admin``; a ``{member}`` in it is in neither.
        summary: one line for people.
        is_audit: whether the scope ``audit:read`` is enough.
    """

    name: str
    method: Literal["GET", "POST"]
    path: str
    summary: str
    is_audit: bool = False

    @property
    def path_members(self) -> tuple[str, ...]:
        """The members that the path names."""
        return tuple(_MEMBER.findall(self.path))


LIST_KEYS = Act("listKeys", "GET", "/keys", "List keys by name")
FIND_KEY = Act("findKey", "GET", "/keys/{key_id}", "Show a key")
CREATE_KEY = Act("createKey", "POST", "/keys", "Make or import a fragment under a new key-id")
ROTATE_KEY = Act("rotateKey", "POST", "/keys/{key_id}/rotate", "Make a new key with this one's grants")
RETIRE_KEY = Act("retireKey", "POST", "/keys/{key_id}/retire", "Retire a key; it is still released")
DESTROY_KEY = Act("destroyKey", "POST", "/keys/{key_id}/destroy", "Erase a key's fragment for ever")
SET_POLICY = Act(
    "setPlainRelease", "POST", "/keys/{key_id}/plain-release", "Say who gets it by the plain GET"
)

LIST_DEVICES = Act("listDevices", "GET", "/devices", "List devices by name")
FIND_DEVICE = Act("findDevice", "GET", "/devices/{device_id}", "Show a device")
REGISTER_DEVICE = Act("registerDevice", "POST", "/devices", "Make a device known")
SET_GROUPS = Act("setGroups", "POST", "/devices/{device_id}/groups", "Put a device into these groups alone")
DISABLE_DEVICE = Act("disableDevice", "POST", "/devices/{device_id}/disable", "Refuse a device from now on")
ENABLE_DEVICE = Act("enableDevice", "POST", "/devices/{device_id}/enable", "Take a disabled device back")

LIST_GRANTS = Act("listGrants", "GET", "/grants", "List grants, oldest first")
FIND_GRANT = Act("findGrant", "GET", "/grants/{grant_id}", "Show a grant")
CREATE_GRANT = Act("createGrant", "POST", "/grants", "Let a device or a group have a key")
REVOKE_GRANT = Act("revokeGrant", "POST", "/grants/{grant_id}/revoke", "Take a grant back from now on")

LIST_TOKENS = Act("listTokens", "GET", "/tokens", "List tokens, oldest first; never the tokens themselves")
FIND_TOKEN = Act("findToken", "GET", "/tokens/{token_id}", "Show what is known of a token")
ISSUE_TOKEN = Act("issueToken", "POST", "/tokens", "Make a token; the answer shows it, this once")
REVOKE_TOKEN = Act("revokeToken", "POST", "/tokens/{token_id}/revoke", "Revoke a token from now on")

LIST_CODES = Act("listEnrolmentCodes", "GET", "/enrolment-codes", "List enrolment codes, oldest first")
ISSUE_CODE = Act(
    "issueEnrolmentCode", "POST", "/enrolment-codes", "Make a code; the answer shows it, this once"
)
REVOKE_CODE = Act("revokeEnrolmentCode", "POST", "/enrolment-codes/{code_id}/revoke", "Take a code back")

LIST_AUDIT = Act("listAudit", "GET", "/audit", "List what happened", is_audit=True)
VERIFY_AUDIT = Act("verifyAudit", "GET", "/audit/verification", "Prove the whole audit chain", is_audit=True)

RELEASE_OFFLINE = Act(
    "releaseOffline", "POST", "/offline-releases", "Seal a fragment for a device without network"
)
