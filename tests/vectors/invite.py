#!/usr/bin/env python3
"""Makes invite.json: invites and authority places, encoded by hand from docs/protocol.md and not by our code.

    python3 tests/vectors/invite.py > tests/vectors/invite.json
"""

import base64
import hashlib
import ipaddress
import json


def head(major, n):
    """The first bytes of a CBOR item (RFC 8949, section 3), in the shortest form."""
    if n < 24:
        return bytes([major << 5 | n])
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if n < 1 << 8 * size:
            return bytes([major << 5 | code]) + n.to_bytes(size, "big")
    raise ValueError(n)


def cbor(item):
    if isinstance(item, int):
        return head(0, item)
    if isinstance(item, bytes):
        return head(2, len(item)) + item
    if isinstance(item, str):
        return head(3, len(item.encode())) + item.encode()
    if isinstance(item, list):
        return head(4, len(item)) + b"".join(map(cbor, item))
    if isinstance(item, dict):
        return head(5, len(item)) + b"".join(cbor(key) + cbor(value) for key, value in item.items())
    raise TypeError(item)


def uri(scheme, body):
    checked = body + hashlib.sha256(body).digest()[:4]
    return scheme + base64.urlsafe_b64encode(checked).decode().rstrip("=")


def door(ip, port, key):
    return {"ip": ip, "port": port, "key": (bytes([key]) * 32).hex()}


def door_item(d):
    ip = ipaddress.ip_address(d["ip"])
    return {0: [0 if ip.version == 4 else 1, [ip.packed, d["port"]]], 1: bytes.fromhex(d["key"])}


def invite_item(v):
    item = {0: v["networkName"], 1: bytes.fromhex(v["rootKey"]), 2: [door_item(d) for d in v["superPeers"]]}
    if "token" in v:
        item[3] = bytes.fromhex(v["token"])
    item[4] = v["policyVersion"]
    return item


def invite(what, name, root, doors, version, token=None, extra=None):
    v = {"what": what, "networkName": name, "rootKey": root.hex(), "superPeers": doors, "policyVersion": version}
    if token is not None:
        v["token"] = token.hex()
    body = cbor(invite_item(v) | (extra or {}))
    v["network"] = hashlib.sha256(root).hexdigest()
    v["written"] = extra is None
    v["cbor"] = body.hex()
    v["uri"] = uri("earshot:", body)
    return v


def authority(what, root, d):
    body = cbor({0: root, 1: door_item(d)})
    return {"what": what, "rootKey": root.hex(), "door": d, "cbor": body.hex(), "uri": uri("earshot-authority:", body)}


ROOT = bytes(range(32))
HOME = door("192.0.2.7", 37373, 9)
FAR = door("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", 65535, 3)
one = invite("one super-peer", "home", ROOT, [HOME], 1)
item = invite_item(one)


def refused(what, text, why):
    return {"what": what, "uri": text, "why": why}


def unreadable(what, body):
    return refused(what, uri("earshot:", body), "unreadable")


letters = one["uri"]
vectors = {
    "invites": [
        one,
        invite("four super-peers of both families, a token, a name in two alphabets", "Gymnasium Köln ☎",
               bytes([0x11]) * 32,
               [HOME, door("2001:db8::7", 443, 0x22), door("198.51.100.1", 80, 0x23),
                door("203.0.113.255", 65535, 0x24)], 300, bytes([0x5A]) * 32),
        invite("no super-peer and no name", "", bytes([0xFF]) * 32, [], 0),
        invite("the longest that is written", "n" * 64, bytes([0x77]) * 32, [FAR] * 4, 2**64 - 1, bytes([0xEE]) * 32),
        invite("a key of tomorrow is skipped", "home", ROOT, [HOME], 1, extra={9: "new"}),
    ],
    "authorities": [
        authority("IPv4", ROOT, door("192.0.2.1", 37373, 7)),
        authority("IPv6", ROOT, door("::1", 1, 7)),
    ],
    "refused": [
        refused("another scheme", "https://example.org", "notAnInvite"),
        refused("an authority's place", authority("", ROOT, HOME)["uri"], "notAnInvite"),
        refused("the scheme in capitals", letters.replace("earshot", "EARSHOT"), "notAnInvite"),
        refused("nothing behind the scheme", "earshot:", "damaged"),
        refused("the last letter is missing", letters[:-1], "damaged"),
        refused("two letters are swapped", letters[:12] + letters[13] + letters[12] + letters[14:], "damaged"),
        refused("padded", letters + "=", "damaged"),
        refused("a space within", letters[:20] + " " + letters[20:], "damaged"),
        unreadable("five super-peers", cbor(item | {2: [door_item(HOME)] * 5})),
        unreadable("no root key", cbor({key: value for key, value in item.items() if key != 1})),
        unreadable("a root key of 31 bytes", cbor(item | {1: ROOT[:31]})),
        unreadable("a name of 65 bytes", cbor(item | {0: "n" * 65})),
        unreadable("a byte behind it", cbor(item) + b"\0"),
        unreadable("cut in the middle", cbor(item)[:-20]),
        unreadable("longer than 700 bytes", cbor(item | {9: b"\0" * 700})),
    ],
}
print(json.dumps(vectors, indent=1, ensure_ascii=False))
