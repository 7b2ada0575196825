-- +goose Up

-- Frozen months, a chain: each names the one frozen before it. File m holds
--   {previous < month <= m, position <= watermark} and {month <= previous, previous_watermark < position <= watermark}.
CREATE TABLE export.freezes (
    month              date        NOT NULL, -- first day of a business month
    previous           date,                 -- null: the first one frozen
    watermark          bigint      NOT NULL,
    previous_watermark bigint      NOT NULL, -- 0 for the first one
    format_version     integer     NOT NULL,
    columns            text[]      NOT NULL, -- of the file, in order
    rows               bigint      NOT NULL, -- what every pull must find again
    late_rows          bigint      NOT NULL, -- of those, of other months than the file's
    first_position     bigint      NOT NULL, -- of the rows: a pull reads no further than from here
    last_position      bigint      NOT NULL, -- to here
    tzdata             text        NOT NULL, -- version of the time zone data
    frozen_by          text        NOT NULL,
    position           bigint      NOT NULL,
    frozen_at          timestamptz NOT NULL,
    CONSTRAINT freezes_pkey PRIMARY KEY (month),
    CONSTRAINT freezes_chain UNIQUE NULLS NOT DISTINCT (previous),
    CONSTRAINT freezes_link UNIQUE (month, watermark),
    CONSTRAINT freezes_position UNIQUE (position),
    CONSTRAINT freezes_month CHECK (month = date_trunc('month', month)),
    CONSTRAINT freezes_forward CHECK (previous < month AND previous_watermark <= watermark),
    CONSTRAINT freezes_previous_watermark CHECK (previous IS NOT NULL OR previous_watermark = 0),
    CONSTRAINT freezes_not_empty CHECK (rows > 0 AND late_rows BETWEEN 0 AND rows),
    CONSTRAINT freezes_bounds CHECK (0 < first_position AND first_position <= last_position AND last_position <= watermark AND watermark < position),
    CONSTRAINT freezes_previous FOREIGN KEY (previous, previous_watermark) REFERENCES export.freezes (month, watermark)
);
SELECT ledger.protect('export.freezes');

-- Every pull of a file.
CREATE TABLE export.exports (
    n         bigint      GENERATED ALWAYS AS IDENTITY,
    month     date        NOT NULL,
    name      text        NOT NULL,
    frozen    boolean     NOT NULL,
    watermark bigint      NOT NULL,
    rows      bigint      NOT NULL,
    bytes     bigint      NOT NULL,
    sha256    bytea       NOT NULL,
    pulled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulled_by text        NOT NULL,
    CONSTRAINT exports_pkey PRIMARY KEY (n)
);
CREATE INDEX exports_by_month ON export.exports (month, n);
SELECT ledger.protect('export.exports');
