"""Acts on devices, and the sealing of a fragment that is carried to one."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from binary_split.errors import ConfigError, KeyStoreDamagedError
from binary_split.keyservice.admin import acts
from binary_split.keyservice.admin.wishes import Desk, Label, Name, PageWish, Performed, Time, View, Wish
from binary_split.keyservice.devices import PUBLIC_KEY_BYTES, DeviceRecord, DeviceState
from binary_split.keyservice.sealing import seal_released
from binary_split.sealedfragment import PublicKey, generate_nonce


def _check_public_key(text: str) -> str:
    try:
        PublicKey.parse(text).verify_usable()
    except ConfigError as error:
        raise ValueError(str(error)) from None
    return text


Groups = Annotated[list[Name], Field(max_length=100)]
PublicKeyText = Annotated[
    str, StringConstraints(max_length=PUBLIC_KEY_BYTES), AfterValidator(_check_public_key)
]


class DeviceView(View):
    """What is known of a device."""

    device_id: str
    label: str
    state: DeviceState
    groups: list[str]
    public_key: str | None
    created: Time
    disabled: Time | None


class DevicePage(View):
    """Some devices."""

    items: list[DeviceView]
    next_cursor: str | None


class DeviceFilter(PageWish):
    """Which devices."""

    state: DeviceState | None = None
    group: Name | None = None


class DeviceWish(Wish):
    """One device."""

    device_id: Name


class NewDevice(DeviceWish):
    """A new device."""

    label: Label = ""
    groups: Groups = Field([])
    public_key: PublicKeyText | None = Field(None, description="As `binary-split device show` prints it.")


class DeviceGroups(DeviceWish):
    """The groups of a device."""

    groups: Groups


class OfflineWish(DeviceWish):
    """A fragment for a device without network."""

    key_id: Name


class SealedView(View):
    """A fragment that opens on its device alone."""

    device_id: str
    key_id: str
    sealed_fragment: str = Field(description="The content of the file that is carried to the device.")
    audit_record: int


def _view(record: DeviceRecord) -> DeviceView:
    key = record.public_key
    if key is not None and not key.isascii():
        raise KeyStoreDamagedError(f"the public key of {record.device_id!r} is none")
    return DeviceView(
        device_id=record.device_id,
        label=record.label,
        state=record.state,
        groups=list(record.groups),
        public_key=None if key is None else key.decode("ascii"),
        created=record.created,
        disabled=record.disabled,
    )


def _list(desk: Desk, wish: DeviceFilter) -> DevicePage:
    page = desk.store.devices.page(cursor=wish.cursor, limit=wish.limit, state=wish.state, group=wish.group)
    return DevicePage(items=[_view(row) for row in page.rows], next_cursor=page.next_cursor)


def _find(desk: Desk, wish: DeviceWish) -> DeviceView:
    return _view(desk.store.devices.find(wish.device_id))


def _register(desk: Desk, wish: NewDevice) -> DeviceView:
    return _view(
        desk.store.devices.add(
            wish.device_id,
            label=wish.label,
            groups=wish.groups,
            public_key=None if wish.public_key is None else wish.public_key.encode(),
            by=desk.by,
        )
    )


def _set_groups(desk: Desk, wish: DeviceGroups) -> DeviceView:
    return _view(desk.store.devices.set_groups(wish.device_id, wish.groups, by=desk.by))


def _disable(desk: Desk, wish: DeviceWish) -> DeviceView:
    return _view(desk.store.devices.disable(wish.device_id, by=desk.by))


def _enable(desk: Desk, wish: DeviceWish) -> DeviceView:
    return _view(desk.store.devices.enable(wish.device_id, by=desk.by))


def _release(desk: Desk, wish: OfflineWish) -> SealedView:
    released = desk.store.offline.release(wish.device_id, wish.key_id, by=desk.by)
    # Nobody asked, so the nonce is ours: docs/adr/0053-offline-release.md
    sealed = seal_released(released, generate_nonce()).serialise().decode()
    return SealedView(
        device_id=wish.device_id, key_id=wish.key_id, sealed_fragment=sealed, audit_record=released.seq
    )


PERFORMED: tuple[Performed[Any], ...] = (
    Performed(acts.LIST_DEVICES, DeviceFilter, DevicePage, _list),
    Performed(acts.FIND_DEVICE, DeviceWish, DeviceView, _find),
    Performed(acts.REGISTER_DEVICE, NewDevice, DeviceView, _register),
    Performed(acts.SET_GROUPS, DeviceGroups, DeviceView, _set_groups),
    Performed(acts.DISABLE_DEVICE, DeviceWish, DeviceView, _disable),
    Performed(acts.ENABLE_DEVICE, DeviceWish, DeviceView, _enable),
    Performed(acts.RELEASE_OFFLINE, OfflineWish, SealedView, _release),
)
