-- +goose Up

-- The chain of seals. Each binds the facts of a block of positions and the seal before it; a tree over the
-- hashes of all seals grows with it. What is hashed, and how: package ledger/proof.
CREATE TABLE ledger.seals (
    number           bigint      NOT NULL,
    format           integer     NOT NULL, -- of the canonical texts that are hashed
    first_position   bigint      NOT NULL,
    last_position    bigint      NOT NULL, -- at or below a watermark: everything up to it was decided
    count            bigint      NOT NULL, -- of facts in the block
    root             bytea       NOT NULL, -- of the tree over the block's facts
    positions        bytea       NOT NULL, -- of the facts, as varints of the gaps between them
    positions_sha256 bytea       NOT NULL,
    tags             bytea       NOT NULL, -- the first four bytes of each fact's hash: they name the fact that was changed
    tags_sha256      bytea       NOT NULL,
    previous         bytea,                -- hash of the seal before; null for the first one
    hash             bytea       NOT NULL,
    frontier         bytea       NOT NULL, -- of the tree over the hashes of the seals up to this one
    tree_root        bytea       NOT NULL, -- of that tree
    position         bigint      NOT NULL,
    sealed_at        timestamptz NOT NULL,
    -- What the chain hangs on, so that the database itself refuses a gap and a fork.
    previous_number  bigint      GENERATED ALWAYS AS (NULLIF(number - 1, 0)) STORED,
    previous_last    bigint      GENERATED ALWAYS AS (NULLIF(first_position - 1, 0)) STORED,
    CONSTRAINT seals_pkey PRIMARY KEY (number),
    CONSTRAINT seals_position UNIQUE (position),
    CONSTRAINT seals_link UNIQUE (number, last_position, hash),
    CONSTRAINT seals_previous FOREIGN KEY (previous_number, previous_last, previous)
        REFERENCES ledger.seals (number, last_position, hash) MATCH FULL,
    CONSTRAINT seals_number CHECK (number > 0),
    CONSTRAINT seals_block CHECK (0 < first_position AND first_position <= last_position AND last_position < position),
    CONSTRAINT seals_count CHECK (0 < count AND count <= 65536 AND count <= last_position - first_position + 1),
    CONSTRAINT seals_hashes CHECK (length(root) = 32 AND length(positions_sha256) = 32 AND length(tags_sha256) = 32
        AND length(previous) = 32 AND length(hash) = 32 AND length(tree_root) = 32),
    CONSTRAINT seals_tags CHECK (length(tags) = 4 * count)
);
ALTER TABLE ledger.seals ALTER COLUMN tags SET STORAGE EXTERNAL; -- hashes don't compress
CREATE INDEX seals_last_position ON ledger.seals (last_position);
SELECT ledger.protect('ledger.seals');

CREATE VIEW ledger.seals_v1 AS
    SELECT number, format, first_position, last_position, count, root, previous, hash, tree_root, position, sealed_at
    FROM ledger.seals;
GRANT SELECT ON ledger.seals_v1 TO deltaledger_reader, deltaledger_app;

-- Keys are stored about in the order of their positions, so that a block's are found by this and the
-- writers pay next to nothing for it.
CREATE INDEX event_keys_by_position ON ledger.event_keys USING brin (position) WITH (autosummarize = on);

-- summarize_keys brings that index up to date: what it doesn't know yet is read as a whole by everybody who
-- looks for a block. It gives up at once where a vacuum holds the table, which does the same.
-- +goose StatementBegin
CREATE FUNCTION ledger.summarize_keys() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '50ms' AS $$
BEGIN
    RETURN brin_summarize_new_values('ledger.event_keys_by_position'::regclass);
EXCEPTION WHEN lock_not_available THEN
    RETURN 0;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION ledger.summarize_keys() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.summarize_keys() TO deltaledger_app;
