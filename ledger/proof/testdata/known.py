"""Writes known.json: leaf, seals, tree and checkpoint of the example in proof_test.go, computed with nothing
but SHA-256. Run: python3 known.py > known.json"""
import base64, hashlib, json


def sha(b):
    return hashlib.sha256(b).digest()


def leaf(text):
    return sha(b"\0" + text.encode())


def root(hashes):  # MTH of RFC 6962, section 2.1
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while 2 * k < len(hashes):
        k *= 2
    return sha(b"\1" + root(hashes[:k]) + root(hashes[k:]))


LEDGER = "55138da0-ba1d-4f8a-91a8-d4f7adc245f2"
block = ['{"a":1}', '{"b":"é"}', '{"c":null}', '{"amount":"-12.5"}', '{}']


def seal(n, previous):
    fields = {
        "ledger": LEDGER, "format": 1, "number": n, "first_position": 10 * n - 9, "last_position": 10 * n, "count": len(block),
        "root": root([leaf(t) for t in block]).hex(), "positions": leaf("positions").hex(), "tags": leaf("tags").hex(),
        "position": 100 + n, "sealed_at": "2026-01-02T03:04:05.6789Z",
    }
    if previous:
        fields["previous"] = previous.hex()
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


texts, hashes = [], []
for n in range(1, 6):
    texts.append(seal(n, hashes[-1] if hashes else None))
    hashes.append(leaf(texts[-1]))
print(json.dumps({
    "leaf": block[3], "leafHash": leaf(block[3]).hex(), "seal": texts[0], "sealHash": hashes[0].hex(), "secondHash": hashes[1].hex(),
    "treeRoot": root(hashes).hex(), "text": "deltaledger/%s\n5\n%s\n" % (LEDGER, base64.b64encode(root(hashes)).decode()),
}, indent=2, ensure_ascii=False))
