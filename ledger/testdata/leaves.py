"""Writes leaves.json: rows to insert, and the text and hash that their leaves must have, made by json and hashlib
alone. Run: python3 leaves.py > leaves.json"""
import hashlib, json


def leaf(fact, key):
    text = json.dumps({"fact": fact, "key": key, "kind": "event"}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text, hashlib.sha256(b"\0" + text.encode()).hexdigest()


def sql(value):
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        value = json.dumps(value)
    return "'" + value.replace("'", "''") + "'"


def insert(table, row, as_bytes):
    columns = sorted(row)
    values = [sql("\\x" + row[c]) if c in as_bytes else sql(row[c]) for c in columns]
    return "INSERT INTO %s (%s) VALUES (%s);" % (table, ", ".join(columns), ", ".join(values))


common = {"source": "shop", "type": "line.sold", "account": "acmé \"x\"\n", "currency": "EUR"}
rows = [
    (
        dict(common, position=1_000_001, event_id="e1", occurred_at="2026-01-31T23:59:59.1234Z", recorded_at="2001-11-21T18:17:25.854442Z",
             business_date="2026-02-01", kind="upstream"),
        dict(position=1_000_001, recorded_at="2001-11-21T18:17:25.854442Z", event_key="7c2af59e-044f-19ad-1484-5b751f4e370b", digest="00" * 32,
             digest_version=1),
    ),
    (
        dict(common, position=1_000_002, event_id="e2", occurred_at="0001-01-01T00:00:00Z", recorded_at="2001-11-30T00:00:00.1Z",
             business_date="9999-12-31", kind="adjustment", stream="o\u2028ü😀", seqn=281474976710655, caused_by=7, amount="-12.5",
             quantity="0.000000000000000001", dimensions={"b": "x", "a": {"z": [1, True, None, "ä\\"], "y": 2}}, state={"amount": "87.5"},
             corrects="e1", reason="why", reference="doc/1", maker="jane", commitment="ab" * 32, d_text="north", d_bigint=-9223372036854775808,
             d_boolean=False, d_date="2024-02-29", d_uuid="5c0f7a1e-9f63-4f0b-8d8e-2f7f6f0c9a11"),
        dict(position=1_000_002, recorded_at="2001-11-30T00:00:00.1Z", event_key="7c2af59e-044f-19ad-1484-5b751f4e370c",
             position_key="38112188-a76f-dcdf-48a6-000000000003", digest="cd" * 32, digest_version=1),
    ),
]
out = []
for fact, key in rows:
    text, sha = leaf(fact, key)
    statements = insert("ledger.events", fact, ["commitment"]) + " " + insert("ledger.event_keys", key, ["digest"])
    out.append({"position": fact["position"], "insert": statements, "text": text, "hash": sha})
print(json.dumps(out, indent=2))
