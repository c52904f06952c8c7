"""What a form can order: an act, its fields, the page that it is on, and what is said when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from binary_split.keyservice.admin import acts
from binary_split.keyservice.admin.acts import Act


@dataclass(frozen=True, slots=True)
class Order:
    """One kind of form.

    Attributes:
        act: what is done.
        fields: members that the form holds.
        page: the page that shows the form; ``{member}`` is filled in.
        done: said on that page afterwards.
        secret: the member of the answer that is shown once, on a page of its own; empty where there is none.
        is_confirmed: whether the person must type the name again.
    """

    act: Act
    fields: tuple[str, ...]
    page: str
    done: str
    secret: str = ""
    is_confirmed: bool = False


_KEY = ("key_id",)
_DEVICE = ("device_id",)

_ORDERS = (
    Order(acts.CREATE_KEY, ("key_id", "fragment", "plain_release"), "keys", "The key is created."),
    Order(acts.ROTATE_KEY, ("key_id", "new_key_id"), "keys/{key_id}", "A new key has this one's grants."),
    Order(acts.RETIRE_KEY, _KEY, "keys/{key_id}", "The key is retired."),
    Order(acts.DESTROY_KEY, _KEY, "keys/{key_id}", "The key's fragment is erased.", is_confirmed=True),
    Order(acts.SET_POLICY, ("key_id", "plain_release"), "keys/{key_id}", "The policy is set."),
    Order(acts.REGISTER_DEVICE, ("device_id", "label", "groups"), "devices", "The device is registered."),
    Order(acts.SET_GROUPS, ("device_id", "groups"), "devices/{device_id}", "The groups are set."),
    Order(acts.DISABLE_DEVICE, _DEVICE, "devices/{device_id}", "The device is refused from now on."),
    Order(acts.ENABLE_DEVICE, _DEVICE, "devices/{device_id}", "The device is taken back."),
    Order(
        acts.CREATE_GRANT,
        ("key_id", "device_id", "group", "not_before", "not_after", "uses"),
        "grants",
        "The grant is made.",
    ),
    Order(acts.REVOKE_GRANT, ("grant_id",), "grants", "The grant is revoked."),
    Order(
        acts.ISSUE_TOKEN,
        ("key_id", "device_id", "scopes", "label", "lifetime"),
        "tokens",
        "The token is issued.",
        secret="token",  # noqa: S106 - the member's name
    ),
    Order(acts.REVOKE_TOKEN, ("token_id",), "tokens", "The token is revoked."),
    Order(
        acts.ISSUE_CODE,
        ("device_id", "lifetime"),
        "enrolment",
        "The code is issued.",
        secret="code",  # noqa: S106 - the member's name
    ),
    Order(acts.REVOKE_CODE, ("code_id",), "enrolment", "The code is revoked."),
    Order(
        acts.RELEASE_OFFLINE,
        ("device_id", "key_id"),
        "devices/{device_id}",
        "The fragment is sealed.",
        secret="sealed_fragment",  # noqa: S106 - the member's name
    ),
)
ORDERS: Mapping[str, Order] = {order.act.name: order for order in _ORDERS}
"""By the name of the act."""
