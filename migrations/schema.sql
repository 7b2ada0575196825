-- What the migrations make, read from the catalogues of PostgreSQL. For reading, not for running.
-- Written by: go test ./migrations -run TestSchemaIsCurrent -update

-- Tables: columns, types, defaults

TABLE archive.events PARTITION BY RANGE (recorded_at)
    "position" bigint NOT NULL
    recorded_at timestamp with time zone NOT NULL
    seqn bigint
    occurred_at timestamp with time zone NOT NULL
    caused_by bigint
    business_date date NOT NULL
    source text COLLATE "C" NOT NULL
    event_id text COLLATE "C" NOT NULL
    stream text COLLATE "C"
    type text COLLATE "C" NOT NULL
    account text COLLATE "C" NOT NULL
    currency text COLLATE "C" NOT NULL
    kind text COLLATE "C" NOT NULL
    amount numeric
    quantity numeric
    dimensions jsonb
    state jsonb
    corrects text COLLATE "C"
    reason text COLLATE "C"
    reference text COLLATE "C"
    maker text COLLATE "C"
    commitment bytea;
TABLE billing.accounts
    account text COLLATE "C" NOT NULL
    last_position bigint NOT NULL
    pending_from timestamp with time zone
    pending_through timestamp with time zone NOT NULL;
TABLE billing.adjustment_decisions
    account text COLLATE "C" NOT NULL
    adjustment uuid NOT NULL
    outcome text NOT NULL
    why text NOT NULL
    made_by text NOT NULL
    decided_by text NOT NULL
    "position" bigint NOT NULL
    decided_at timestamp with time zone NOT NULL;
TABLE billing.adjustments
    account text COLLATE "C" NOT NULL
    id uuid NOT NULL
    currency text COLLATE "C" NOT NULL
    amount numeric NOT NULL
    reason text NOT NULL
    reference text COLLATE "C"
    origin_start timestamp with time zone
    waits boolean NOT NULL
    above numeric
    made_by text NOT NULL
    "position" bigint NOT NULL
    made_at timestamp with time zone NOT NULL;
TABLE billing.approvals
    account text COLLATE "C" NOT NULL
    invoice_id uuid NOT NULL
    approved_by text NOT NULL
    "position" bigint NOT NULL
    approved_at timestamp with time zone NOT NULL;
TABLE billing.carried
    account text COLLATE "C" NOT NULL
    "position" bigint NOT NULL
    recorded_at timestamp with time zone NOT NULL
    occurred_at timestamp with time zone NOT NULL
    source text COLLATE "C" NOT NULL
    stream text COLLATE "C" NOT NULL
    since timestamp with time zone NOT NULL
    settled bigint;
TABLE billing.close_failures
    run bigint NOT NULL
    account text COLLATE "C" NOT NULL
    reason text NOT NULL;
TABLE billing.close_run_ends
    run bigint NOT NULL
    terms bigint NOT NULL
    cycles bigint NOT NULL
    invoices bigint NOT NULL
    pinned bigint NOT NULL
    late bigint NOT NULL
    failed bigint NOT NULL
    ended_at timestamp with time zone NOT NULL DEFAULT clock_timestamp();
TABLE billing.close_runs
    n bigint NOT NULL GENERATED ALWAYS AS IDENTITY
    account text COLLATE "C"
    through date NOT NULL
    watermark bigint NOT NULL
    taken_at timestamp with time zone NOT NULL
    terms bigint NOT NULL
    ran_at timestamp with time zone NOT NULL
    ran_by text NOT NULL;
TABLE billing.closes
    account text COLLATE "C" NOT NULL
    through_at timestamp with time zone NOT NULL
    watermark bigint NOT NULL
    run bigint NOT NULL
    carried bigint NOT NULL
    closed_at timestamp with time zone NOT NULL DEFAULT clock_timestamp();
TABLE billing.contract_uses
    account text COLLATE "C" NOT NULL
    contract text COLLATE "C" NOT NULL
    charge text COLLATE "C" NOT NULL
    currency text COLLATE "C" NOT NULL
    stream text COLLATE "C" NOT NULL
    n bigint NOT NULL
    quantity numeric NOT NULL
    spent numeric NOT NULL;
TABLE billing.credit_note_lines
    account text COLLATE "C" NOT NULL
    credit_note_id uuid NOT NULL
    invoice_id uuid NOT NULL
    line integer NOT NULL
    amount numeric NOT NULL;
TABLE billing.credit_note_numbers
    series text COLLATE "C" NOT NULL
    number bigint NOT NULL
    printed text COLLATE "C" NOT NULL
    account text COLLATE "C" NOT NULL
    credit_note_id uuid NOT NULL
    "position" bigint NOT NULL
    issued_at timestamp with time zone NOT NULL;
TABLE billing.credit_notes
    account text COLLATE "C" NOT NULL
    id uuid NOT NULL
    invoice_id uuid NOT NULL
    reference text COLLATE "C"
    currency text COLLATE "C" NOT NULL
    total numeric NOT NULL
    reason text NOT NULL
    created_by text NOT NULL
    "position" bigint NOT NULL
    created_at timestamp with time zone NOT NULL
    cancels uuid;
TABLE billing.cycles
    account text COLLATE "C" NOT NULL
    starts_at timestamp with time zone NOT NULL
    ends_at timestamp with time zone NOT NULL
    terms bigint NOT NULL
    base bigint NOT NULL
    run bigint NOT NULL;
TABLE billing.default_rerating_ends
    terms bigint NOT NULL
    accounts bigint NOT NULL
    left_out bigint NOT NULL
    ended_at timestamp with time zone NOT NULL DEFAULT clock_timestamp();
TABLE billing.default_reratings
    terms bigint NOT NULL
    why text NOT NULL
    recorded_by text NOT NULL
    "position" bigint NOT NULL
    recorded_at timestamp with time zone NOT NULL;
TABLE billing.finalisations
    source text COLLATE "C" NOT NULL
    stream text COLLATE "C" NOT NULL
    "position" bigint NOT NULL
    occurred_at timestamp with time zone NOT NULL
    type text COLLATE "C" NOT NULL;
TABLE billing.finalising_types
    type text COLLATE "C" NOT NULL
    since bigint NOT NULL
    built bigint NOT NULL DEFAULT 0;
TABLE billing.invoice_ids
    account text COLLATE "C" NOT NULL
    id uuid NOT NULL;
TABLE billing.invoice_lines
    account text COLLATE "C" NOT NULL
    invoice_id uuid NOT NULL
    line integer NOT NULL
    charge text COLLATE "C" NOT NULL
    terms bigint NOT NULL
    definition jsonb NOT NULL
    origin_start timestamp with time zone NOT NULL
    origin_end timestamp with time zone NOT NULL
    late boolean NOT NULL
    origin_invoice uuid
    pinned bigint NOT NULL
    events bigint NOT NULL
    added numeric NOT NULL
    first jsonb
    before_counted bigint NOT NULL
    before numeric NOT NULL
    before_first jsonb
    billed numeric NOT NULL
    calculation jsonb NOT NULL
    exact numeric NOT NULL
    amount numeric NOT NULL
    days bigint
    period_days bigint
    contract jsonb
    rerating bigint
    terms_before jsonb
    adjustment uuid;
TABLE billing.invoice_numbers
    series text COLLATE "C" NOT NULL
    number bigint NOT NULL
    printed text COLLATE "C" NOT NULL
    account text COLLATE "C" NOT NULL
    invoice_id uuid NOT NULL
    "position" bigint NOT NULL
    issued_at timestamp with time zone NOT NULL;
TABLE billing.invoices
    account text COLLATE "C" NOT NULL
    id uuid NOT NULL
    cycle_start timestamp with time zone NOT NULL
    cycle_end timestamp with time zone NOT NULL
    currency text COLLATE "C" NOT NULL
    stream text COLLATE "C"
    total numeric NOT NULL
    events bigint NOT NULL
    pinned bigint NOT NULL
    rebills uuid
    run bigint
    watermark bigint NOT NULL
    "position" bigint NOT NULL
    created_at timestamp with time zone NOT NULL;
TABLE billing.late_events
    account text COLLATE "C" NOT NULL
    "position" bigint NOT NULL
    recorded_at timestamp with time zone NOT NULL
    origin_start timestamp with time zone NOT NULL
    origin_end timestamp with time zone NOT NULL
    closed_watermark bigint NOT NULL
    target_start timestamp with time zone NOT NULL
    found_by text NOT NULL
    run text NOT NULL
    finalised_by bigint
    noted_at timestamp with time zone NOT NULL DEFAULT clock_timestamp();
TABLE billing.number_formats
    kind text COLLATE "C" NOT NULL
    format text COLLATE "C" NOT NULL
    recorded_by text NOT NULL
    "position" bigint NOT NULL
    recorded_at timestamp with time zone NOT NULL;
TABLE billing.open_adjustments
    account text COLLATE "C" NOT NULL
    adjustment uuid NOT NULL;
TABLE billing.orders
    account text COLLATE "C" NOT NULL
    source text COLLATE "C" NOT NULL
    stream text COLLATE "C" NOT NULL
    since timestamp with time zone NOT NULL
    finalised_at timestamp with time zone NOT NULL
    "position" bigint
    run bigint NOT NULL;
TABLE billing.parkings
    account text COLLATE "C" NOT NULL
    run bigint NOT NULL
    finding text NOT NULL
    "position" bigint NOT NULL
    parked_at timestamp with time zone NOT NULL;
TABLE billing.payments
    account text COLLATE "C" NOT NULL
    invoice_id uuid NOT NULL
    reference text COLLATE "C" NOT NULL
    amount numeric NOT NULL
    paid_on date NOT NULL
    reverses text COLLATE "C"
    note text NOT NULL
    recorded_by text NOT NULL
    "position" bigint NOT NULL
    recorded_at timestamp with time zone NOT NULL;
TABLE billing.pins
    account text COLLATE "C" NOT NULL
    "position" bigint NOT NULL
    recorded_at timestamp with time zone NOT NULL
    origin_start timestamp with time zone NOT NULL
    invoice_id uuid NOT NULL
    replaces uuid;
TABLE billing.progress
    name text COLLATE "C" NOT NULL
    watermark bigint NOT NULL;
TABLE billing.releases
    account text COLLATE "C" NOT NULL
    run bigint NOT NULL
    why text NOT NULL
    released_by text NOT NULL
    "position" bigint NOT NULL
    released_at timestamp with time zone NOT NULL;
TABLE billing.rerated
    account text COLLATE "C" NOT NULL
    terms bigint NOT NULL
    run bigint NOT NULL;
TABLE billing.rerating_exceptions
    account text COLLATE "C" NOT NULL
    terms bigint NOT NULL
    problem text;
TABLE billing.reratings
    account text COLLATE "C" NOT NULL
    terms bigint NOT NULL
    from_at timestamp with time zone NOT NULL
    through_at timestamp with time zone NOT NULL
    why text NOT NULL
    recorded_by text NOT NULL
    "position" bigint NOT NULL
    recorded_at timestamp with time zone NOT NULL
    defaults bigint
    own bigint DEFAULT 
CASE
    WHEN (defaults IS NULL) THEN terms
    ELSE NULL::bigint
END;
TABLE billing.reviews
    account text COLLATE "C" NOT NULL
    invoice_id uuid NOT NULL
    why text NOT NULL;
TABLE billing.statuses
    account text COLLATE "C" NOT NULL
    invoice_id uuid NOT NULL
    status text NOT NULL
    note text NOT NULL DEFAULT ''::text
    set_by text NOT NULL
    "position" bigint NOT NULL
    set_at timestamp with time zone NOT NULL;
TABLE billing.terms
    n bigint NOT NULL GENERATED ALWAYS AS IDENTITY
    account text COLLATE "C"
    effective_from timestamp with time zone
    not_before timestamp with time zone
    terms jsonb NOT NULL
    recorded_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()
    recorded_by text NOT NULL;
TABLE billing.voids
    account text COLLATE "C" NOT NULL
    invoice_id uuid NOT NULL
    outcome text NOT NULL
    why text NOT NULL
    voided_by text NOT NULL
    "position" bigint NOT NULL
    voided_at timestamp with time zone NOT NULL;
TABLE export.exports
    n bigint NOT NULL GENERATED ALWAYS AS IDENTITY
    month date NOT NULL
    name text NOT NULL
    frozen boolean NOT NULL
    watermark bigint NOT NULL
    rows bigint NOT NULL
    bytes bigint NOT NULL
    sha256 bytea NOT NULL
    pulled_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()
    pulled_by text NOT NULL;
TABLE export.freezes
    month date NOT NULL
    previous date
    watermark bigint NOT NULL
    previous_watermark bigint NOT NULL
    format_version integer NOT NULL
    columns text[] NOT NULL
    rows bigint NOT NULL
    late_rows bigint NOT NULL
    first_position bigint NOT NULL
    last_position bigint NOT NULL
    tzdata text NOT NULL
    frozen_by text NOT NULL
    "position" bigint NOT NULL
    frozen_at timestamp with time zone NOT NULL;
TABLE ledger.archives
    n bigint NOT NULL GENERATED ALWAYS AS IDENTITY
    month date NOT NULL
    url text NOT NULL
    manifest text NOT NULL
    manifest_sha256 bytea NOT NULL
    rows bigint NOT NULL
    first_position bigint NOT NULL
    last_position bigint NOT NULL
    first_occurred_at timestamp with time zone NOT NULL
    last_occurred_at timestamp with time zone NOT NULL
    first_business_date date NOT NULL
    last_business_date date NOT NULL
    first_seal bigint NOT NULL
    last_seal bigint NOT NULL
    verified_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()
    recorded_by text NOT NULL;
TABLE ledger.column_floors
    name text COLLATE "C" NOT NULL
    "position" bigint NOT NULL;
TABLE ledger.column_indexes
    name text COLLATE "C" NOT NULL
    declared_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()
    declared_by text NOT NULL;
TABLE ledger.columns
    name text COLLATE "C" NOT NULL
    kind text NOT NULL
    type text NOT NULL
    description text NOT NULL
    owner text NOT NULL
    pii boolean NOT NULL DEFAULT false
    describes text NOT NULL DEFAULT 'event'::text
    built_in boolean NOT NULL DEFAULT false
    since timestamp with time zone NOT NULL DEFAULT clock_timestamp()
    "position" bigint
    declared_by text NOT NULL DEFAULT 'ledger'::text;
TABLE ledger.completeness_doubled
    source text COLLATE "C" NOT NULL
    seqn bigint NOT NULL
    "position" bigint NOT NULL
    recorded_at timestamp with time zone NOT NULL
    stream text COLLATE "C" NOT NULL
    event_id text COLLATE "C" NOT NULL;
TABLE ledger.completeness_filled
    n bigint NOT NULL GENERATED ALWAYS AS IDENTITY
    source text COLLATE "C" NOT NULL
    stream text COLLATE "C" NOT NULL
    from_seqn bigint NOT NULL
    to_seqn bigint NOT NULL
    since timestamp with time zone NOT NULL
    filled_at timestamp with time zone NOT NULL;
TABLE ledger.completeness_gaps
    source text COLLATE "C" NOT NULL
    stream text COLLATE "C" NOT NULL
    from_seqn bigint NOT NULL
    to_seqn bigint NOT NULL
    since timestamp with time zone NOT NULL
    since_position bigint NOT NULL
    previous_occurred_at timestamp with time zone
    next_position bigint NOT NULL
    next_recorded_at timestamp with time zone NOT NULL
    next_occurred_at timestamp with time zone NOT NULL
    next_account text COLLATE "C" NOT NULL
    earliest timestamp with time zone NOT NULL;
TABLE ledger.completeness_progress
    only_row boolean NOT NULL DEFAULT true
    "position" bigint NOT NULL
    changed_at timestamp with time zone NOT NULL DEFAULT clock_timestamp();
TABLE ledger.completeness_sources
    source text COLLATE "C" NOT NULL
    numbering text NOT NULL
    through bigint
    events bigint NOT NULL
    streams bigint NOT NULL
    streams_with_gaps bigint NOT NULL
    gaps bigint NOT NULL
    missing bigint NOT NULL
    doubled bigint NOT NULL
    first_seqn bigint
    last_seqn bigint
    last_occurred_at timestamp with time zone
    newest_position bigint NOT NULL
    newest_occurred_at timestamp with time zone NOT NULL
    newest_recorded_at timestamp with time zone NOT NULL;
TABLE ledger.conflict_decisions
    conflict bigint NOT NULL
    outcome text NOT NULL
    event_id text COLLATE "C"
    seqn bigint
    "position" bigint
    why text NOT NULL
    decided_by text NOT NULL
    decided_at timestamp with time zone NOT NULL DEFAULT clock_timestamp();
TABLE ledger.conflict_private
    conflict bigint NOT NULL GENERATED ALWAYS AS IDENTITY
    event_key uuid NOT NULL
    digest bytea NOT NULL
    tag bytea NOT NULL
    payload text
    pii jsonb;
TABLE ledger.conflicts
    n bigint NOT NULL
    detected_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()
    reason text NOT NULL
    source text COLLATE "C" NOT NULL
    event_id text COLLATE "C" NOT NULL
    event_key uuid NOT NULL
    existing_position bigint NOT NULL
    existing_recorded_at timestamp with time zone NOT NULL
    differs text[] NOT NULL
    content text NOT NULL
    digest bytea NOT NULL;
TABLE ledger.content_flags
    "position" bigint NOT NULL
    recorded_at timestamp with time zone NOT NULL
    source text COLLATE "C" NOT NULL
    field text COLLATE "C" NOT NULL
    rule text NOT NULL;
TABLE ledger.dead_letter_content
    letter bigint NOT NULL
    key bytea
    headers jsonb
    body bytea;
TABLE ledger.dead_letter_decisions
    letter bigint NOT NULL
    outcome text NOT NULL
    why text
    decided_by text NOT NULL
    decided_at timestamp with time zone NOT NULL DEFAULT clock_timestamp();
TABLE ledger.dead_letter_events
    letter bigint NOT NULL
    item integer NOT NULL
    status text NOT NULL
    source text COLLATE "C" NOT NULL
    event_id text COLLATE "C" NOT NULL
    account text COLLATE "C" NOT NULL
    occurred_at timestamp with time zone NOT NULL
    "position" bigint NOT NULL;
TABLE ledger.dead_letters
    n bigint NOT NULL GENERATED ALWAYS AS IDENTITY
    topic text COLLATE "C" NOT NULL
    topic_id uuid NOT NULL
    partition integer NOT NULL
    "offset" bigint NOT NULL
    source text COLLATE "C"
    event_id text COLLATE "C"
    account text COLLATE "C"
    occurred_at timestamp with time zone
    withheld boolean NOT NULL DEFAULT false
    reason text NOT NULL
    sent_at timestamp with time zone
    first_seen timestamp with time zone NOT NULL DEFAULT clock_timestamp();
TABLE ledger.declarations
    n bigint NOT NULL
    what text NOT NULL
    declared_at timestamp with time zone NOT NULL DEFAULT clock_timestamp();
TABLE ledger.detachments
    n bigint NOT NULL GENERATED ALWAYS AS IDENTITY
    month date NOT NULL
    detached boolean NOT NULL
    archive bigint NOT NULL
    moved_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()
    moved_by text NOT NULL;
TABLE ledger.erased
    "position" bigint NOT NULL
    recorded_at timestamp with time zone NOT NULL
    erasure bigint NOT NULL
    pii text[]
    payload boolean NOT NULL
    erased_at timestamp with time zone NOT NULL DEFAULT clock_timestamp();
TABLE ledger.erased_conflicts
    conflict bigint NOT NULL
    erasure bigint NOT NULL
    pii text[]
    payload boolean NOT NULL
    erased_at timestamp with time zone NOT NULL DEFAULT clock_timestamp();
TABLE ledger.erased_dead_letters
    letter bigint NOT NULL
    erasure bigint NOT NULL
    erased_at timestamp with time zone NOT NULL DEFAULT clock_timestamp();
TABLE ledger.erasure_ends
    erasure bigint NOT NULL
    events bigint NOT NULL
    conflicts bigint NOT NULL
    dead_letters bigint NOT NULL
    "position" bigint NOT NULL
    ended_at timestamp with time zone NOT NULL;
TABLE ledger.erasures
    n bigint NOT NULL GENERATED ALWAYS AS IDENTITY
    scope text NOT NULL
    account text COLLATE "C"
    source text COLLATE "C"
    event_id text COLLATE "C"
    before date
    letter bigint
    why text NOT NULL
    erased_by text NOT NULL
    begun_at timestamp with time zone NOT NULL DEFAULT clock_timestamp();
TABLE ledger.event_keys
    event_key uuid NOT NULL
    position_key uuid
    "position" bigint NOT NULL
    recorded_at timestamp with time zone NOT NULL
    digest_version smallint NOT NULL
    digest bytea NOT NULL;
TABLE ledger.events PARTITION BY RANGE (recorded_at)
    "position" bigint NOT NULL
    recorded_at timestamp with time zone NOT NULL
    seqn bigint
    occurred_at timestamp with time zone NOT NULL
    caused_by bigint
    business_date date NOT NULL
    source text COLLATE "C" NOT NULL
    event_id text COLLATE "C" NOT NULL
    stream text COLLATE "C"
    type text COLLATE "C" NOT NULL
    account text COLLATE "C" NOT NULL
    currency text COLLATE "C" NOT NULL
    kind text COLLATE "C" NOT NULL
    amount numeric
    quantity numeric
    dimensions jsonb
    state jsonb
    corrects text COLLATE "C"
    reason text COLLATE "C"
    reference text COLLATE "C"
    maker text COLLATE "C"
    commitment bytea;
TABLE ledger.import_decisions
    n bigint NOT NULL GENERATED ALWAYS AS IDENTITY
    file bigint NOT NULL
    outcome text NOT NULL
    state text NOT NULL
    pass integer NOT NULL
    recorded bigint NOT NULL
    duplicate bigint NOT NULL
    conflict bigint NOT NULL
    invalid bigint NOT NULL
    why text NOT NULL
    decided_by text NOT NULL
    decided_at timestamp with time zone NOT NULL DEFAULT clock_timestamp();
TABLE ledger.import_files
    n bigint NOT NULL GENERATED ALWAYS AS IDENTITY
    location text COLLATE "C" NOT NULL
    name text COLLATE "C" NOT NULL
    version integer NOT NULL
    size bigint NOT NULL
    modified_at timestamp with time zone NOT NULL
    etag text NOT NULL DEFAULT ''::text
    sha256 bytea
    format text
    mapping text
    mapping_sha256 bytea
    state text COLLATE "C" NOT NULL DEFAULT 'queued'::text
    reason text
    pass integer NOT NULL DEFAULT 1
    attempt integer NOT NULL DEFAULT 0
    failures integer NOT NULL DEFAULT 0
    resume bigint NOT NULL DEFAULT 0
    recorded bigint NOT NULL DEFAULT 0
    duplicate bigint NOT NULL DEFAULT 0
    conflict bigint NOT NULL DEFAULT 0
    invalid bigint NOT NULL DEFAULT 0
    importer text
    leased_until timestamp with time zone
    next_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()
    found_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()
    begun_at timestamp with time zone
    ended_at timestamp with time zone;
TABLE ledger.import_problems
    file bigint NOT NULL
    pass integer NOT NULL
    item bigint NOT NULL
    line bigint NOT NULL
    status text NOT NULL
    event_id text
    field text
    value text
    rule text
    differs text[]
    existing_position bigint;
TABLE ledger.migrations
    id integer NOT NULL
    version_id bigint NOT NULL
    is_applied boolean NOT NULL
    tstamp timestamp without time zone NOT NULL DEFAULT now();
TABLE ledger.offsets
    consumer text COLLATE "C" NOT NULL
    topic text COLLATE "C" NOT NULL
    partition integer NOT NULL
    topic_id uuid NOT NULL
    "offset" bigint NOT NULL
    updated_at timestamp with time zone NOT NULL DEFAULT clock_timestamp();
TABLE ledger.private
    "position" bigint NOT NULL
    recorded_at timestamp with time zone NOT NULL
    salt bytea NOT NULL
    payload text
    pii jsonb;
TABLE ledger.publishers
    name text COLLATE "C" NOT NULL
    topic text COLLATE "C" NOT NULL
    topic_id uuid NOT NULL
    partitions integer NOT NULL
    kinds text[]
    "position" bigint NOT NULL
    updated_at timestamp with time zone NOT NULL DEFAULT clock_timestamp();
TABLE ledger.seals
    number bigint NOT NULL
    format integer NOT NULL
    first_position bigint NOT NULL
    last_position bigint NOT NULL
    count bigint NOT NULL
    root bytea NOT NULL
    positions bytea NOT NULL
    positions_sha256 bytea NOT NULL
    tags bytea NOT NULL
    tags_sha256 bytea NOT NULL
    previous bytea
    hash bytea NOT NULL
    frontier bytea NOT NULL
    tree_root bytea NOT NULL
    "position" bigint NOT NULL
    sealed_at timestamp with time zone NOT NULL
    previous_number bigint DEFAULT NULLIF((number - 1), 0)
    previous_last bigint DEFAULT NULLIF((first_position - 1), 0);
TABLE ledger.settings
    only_row boolean NOT NULL DEFAULT true
    ledger_id uuid NOT NULL DEFAULT gen_random_uuid()
    reporting_zone text NOT NULL
    freeze_grace_seconds bigint NOT NULL
    created_at timestamp with time zone NOT NULL DEFAULT clock_timestamp();
TABLE ledger.sources
    n bigint NOT NULL GENERATED ALWAYS AS IDENTITY
    name text COLLATE "C" NOT NULL
    states boolean NOT NULL
    numbering text NOT NULL
    strict boolean NOT NULL DEFAULT false
    declared_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()
    declared_by text NOT NULL
    card_numbers text NOT NULL DEFAULT 'allow'::text
    ibans text NOT NULL DEFAULT 'allow'::text
    emails text NOT NULL DEFAULT 'allow'::text;
TABLE ledger.types
    n bigint NOT NULL GENERATED ALWAYS AS IDENTITY
    name text COLLATE "C" NOT NULL
    version integer NOT NULL
    description text NOT NULL
    owner text NOT NULL
    required_dimensions text[] NOT NULL
    required_measures text[] NOT NULL
    signs jsonb NOT NULL
    schema text
    billable boolean NOT NULL
    declared_at timestamp with time zone NOT NULL DEFAULT clock_timestamp()
    declared_by text NOT NULL;
TABLE ledger.watermarks
    n bigint NOT NULL GENERATED ALWAYS AS IDENTITY
    "position" bigint NOT NULL
    taken_at timestamp with time zone NOT NULL;
TABLE reconcile.balances
    account text COLLATE "C" NOT NULL
    currency text COLLATE "C" NOT NULL
    watermark bigint NOT NULL
    closed_through timestamp with time zone
    unbilled numeric NOT NULL
    oldest timestamp with time zone
    run uuid NOT NULL;
TABLE reconcile.findings
    id uuid NOT NULL
    fingerprint text COLLATE "C" NOT NULL
    check_name text NOT NULL
    account text COLLATE "C"
    currency text COLLATE "C"
    subject jsonb NOT NULL
    detail text NOT NULL
    run uuid NOT NULL
    "position" bigint NOT NULL
    found_at timestamp with time zone NOT NULL;
TABLE reconcile.resolutions
    n bigint NOT NULL GENERATED ALWAYS AS IDENTITY
    finding uuid NOT NULL
    outcome text NOT NULL
    why text NOT NULL
    resolved_by text NOT NULL
    resolved_at timestamp with time zone NOT NULL;
TABLE reconcile.runs
    id uuid NOT NULL
    watermark bigint NOT NULL
    since bigint NOT NULL
    heal boolean NOT NULL
    late bigint NOT NULL
    healed bigint NOT NULL
    checks jsonb NOT NULL
    started_at timestamp with time zone NOT NULL
    "position" bigint NOT NULL
    ended_at timestamp with time zone NOT NULL;
TABLE reconcile.sightings
    finding uuid NOT NULL
    run uuid NOT NULL
    detail text NOT NULL
    seen_at timestamp with time zone NOT NULL;

-- Constraints

CONSTRAINT events_amount ON archive.events: CHECK (((amount > '-100000000000000000000000000000000000000'::numeric) AND (amount < '100000000000000000000000000000000000000'::numeric)));
CONSTRAINT events_kind ON archive.events: CHECK ((kind = ANY (ARRAY['upstream'::text, 'adjustment'::text, 'reorder'::text, 'reversal'::text])));
CONSTRAINT events_pkey ON archive.events: PRIMARY KEY ("position", recorded_at);
CONSTRAINT events_quantity ON archive.events: CHECK (((quantity > '-100000000000000000000000000000000000000'::numeric) AND (quantity < '100000000000000000000000000000000000000'::numeric)));
CONSTRAINT events_seqn ON archive.events: CHECK (((seqn >= 0) AND (seqn <= '281474976710655'::bigint)));
CONSTRAINT accounts_pkey ON billing.accounts: PRIMARY KEY (account);
CONSTRAINT adjustment_decisions_adjustment ON billing.adjustment_decisions: FOREIGN KEY (account, adjustment, made_by) REFERENCES billing.adjustments(account, id, made_by);
CONSTRAINT adjustment_decisions_outcome ON billing.adjustment_decisions: CHECK ((outcome = ANY (ARRAY['approved'::text, 'rejected'::text])));
CONSTRAINT adjustment_decisions_pkey ON billing.adjustment_decisions: PRIMARY KEY (account, adjustment);
CONSTRAINT adjustment_decisions_position ON billing.adjustment_decisions: UNIQUE ("position");
CONSTRAINT adjustment_decisions_two_people ON billing.adjustment_decisions: CHECK ((lower(btrim(decided_by)) <> lower(btrim(made_by))));
CONSTRAINT adjustments_amount ON billing.adjustments: CHECK (((amount <> (0)::numeric) AND (amount > '-100000000000000000000000000000000000000'::numeric) AND (amount < '100000000000000000000000000000000000000'::numeric)));
CONSTRAINT adjustments_currency ON billing.adjustments: CHECK ((currency ~ '^[A-Z]{3}$'::text));
CONSTRAINT adjustments_id ON billing.adjustments: UNIQUE (id);
CONSTRAINT adjustments_maker ON billing.adjustments: UNIQUE (account, id, made_by);
CONSTRAINT adjustments_pkey ON billing.adjustments: PRIMARY KEY (account, id);
CONSTRAINT adjustments_position ON billing.adjustments: UNIQUE ("position");
CONSTRAINT adjustments_reference ON billing.adjustments: UNIQUE (account, reference);
CONSTRAINT adjustments_waits ON billing.adjustments: CHECK ((waits = ((above IS NOT NULL) AND (abs(amount) > above))));
CONSTRAINT approvals_pkey ON billing.approvals: PRIMARY KEY (account, invoice_id);
CONSTRAINT approvals_position ON billing.approvals: UNIQUE ("position");
CONSTRAINT approvals_review ON billing.approvals: FOREIGN KEY (account, invoice_id) REFERENCES billing.reviews(account, invoice_id);
CONSTRAINT carried_pkey ON billing.carried: PRIMARY KEY (account, "position");
CONSTRAINT close_failures_pkey ON billing.close_failures: PRIMARY KEY (run, account);
CONSTRAINT close_failures_run ON billing.close_failures: FOREIGN KEY (run) REFERENCES billing.close_runs(n);
CONSTRAINT close_run_ends_counts ON billing.close_run_ends: CHECK (((cycles >= 0) AND (invoices >= 0) AND (pinned >= 0) AND (late >= 0) AND (failed >= 0)));
CONSTRAINT close_run_ends_pkey ON billing.close_run_ends: PRIMARY KEY (run);
CONSTRAINT close_run_ends_run ON billing.close_run_ends: FOREIGN KEY (run) REFERENCES billing.close_runs(n);
CONSTRAINT close_runs_pkey ON billing.close_runs: PRIMARY KEY (n);
CONSTRAINT closes_carried ON billing.closes: CHECK ((carried >= 0));
CONSTRAINT closes_pkey ON billing.closes: PRIMARY KEY (account, through_at);
CONSTRAINT closes_run ON billing.closes: FOREIGN KEY (run) REFERENCES billing.close_runs(n);
CONSTRAINT contract_uses_n ON billing.contract_uses: CHECK ((n > 0));
CONSTRAINT contract_uses_pkey ON billing.contract_uses: PRIMARY KEY (account, contract, charge, currency, stream, n);
CONSTRAINT credit_note_lines_amount ON billing.credit_note_lines: CHECK ((amount <> (0)::numeric));
CONSTRAINT credit_note_lines_line ON billing.credit_note_lines: FOREIGN KEY (account, invoice_id, line) REFERENCES billing.invoice_lines(account, invoice_id, line);
CONSTRAINT credit_note_lines_note ON billing.credit_note_lines: FOREIGN KEY (account, invoice_id, credit_note_id) REFERENCES billing.credit_notes(account, invoice_id, id) DEFERRABLE INITIALLY DEFERRED;
CONSTRAINT credit_note_lines_pkey ON billing.credit_note_lines: PRIMARY KEY (account, credit_note_id, line);
CONSTRAINT credit_note_numbers_note ON billing.credit_note_numbers: FOREIGN KEY (account, credit_note_id) REFERENCES billing.credit_notes(account, id);
CONSTRAINT credit_note_numbers_note_id ON billing.credit_note_numbers: UNIQUE (account, credit_note_id);
CONSTRAINT credit_note_numbers_number ON billing.credit_note_numbers: CHECK ((number > 0));
CONSTRAINT credit_note_numbers_pkey ON billing.credit_note_numbers: PRIMARY KEY (series, number);
CONSTRAINT credit_note_numbers_position ON billing.credit_note_numbers: UNIQUE ("position");
CONSTRAINT credit_note_numbers_printed ON billing.credit_note_numbers: UNIQUE (printed);
CONSTRAINT credit_notes_cancelled_once ON billing.credit_notes: UNIQUE (account, cancels);
CONSTRAINT credit_notes_cancels ON billing.credit_notes: FOREIGN KEY (account, invoice_id, cancels) REFERENCES billing.credit_notes(account, invoice_id, id);
CONSTRAINT credit_notes_cancels_another ON billing.credit_notes: CHECK ((cancels <> id));
CONSTRAINT credit_notes_currency ON billing.credit_notes: CHECK ((currency ~ '^[A-Z]{3}$'::text));
CONSTRAINT credit_notes_id ON billing.credit_notes: UNIQUE (id);
CONSTRAINT credit_notes_invoice ON billing.credit_notes: FOREIGN KEY (account, invoice_id) REFERENCES billing.invoice_numbers(account, invoice_id);
CONSTRAINT credit_notes_of_invoice ON billing.credit_notes: UNIQUE (account, invoice_id, id);
CONSTRAINT credit_notes_pkey ON billing.credit_notes: PRIMARY KEY (account, id);
CONSTRAINT credit_notes_position ON billing.credit_notes: UNIQUE ("position");
CONSTRAINT credit_notes_reference ON billing.credit_notes: UNIQUE (account, invoice_id, reference);
CONSTRAINT credit_notes_total ON billing.credit_notes: CHECK (((total > '-100000000000000000000000000000000000000'::numeric) AND (total < '100000000000000000000000000000000000000'::numeric)));
CONSTRAINT cycles_pkey ON billing.cycles: PRIMARY KEY (account, starts_at);
CONSTRAINT cycles_run ON billing.cycles: FOREIGN KEY (run) REFERENCES billing.close_runs(n);
CONSTRAINT cycles_span ON billing.cycles: CHECK ((starts_at < ends_at));
CONSTRAINT cycles_versions ON billing.cycles: CHECK (((terms >= 0) AND (base >= 0)));
CONSTRAINT default_rerating_ends_pkey ON billing.default_rerating_ends: PRIMARY KEY (terms);
CONSTRAINT default_rerating_ends_terms ON billing.default_rerating_ends: FOREIGN KEY (terms) REFERENCES billing.default_reratings(terms);
CONSTRAINT default_reratings_pkey ON billing.default_reratings: PRIMARY KEY (terms);
CONSTRAINT default_reratings_position ON billing.default_reratings: UNIQUE ("position");
CONSTRAINT default_reratings_terms ON billing.default_reratings: FOREIGN KEY (terms) REFERENCES billing.terms(n);
CONSTRAINT finalisations_pkey ON billing.finalisations: PRIMARY KEY (source, stream, "position");
CONSTRAINT finalising_types_built ON billing.finalising_types: CHECK ((built <= since));
CONSTRAINT finalising_types_pkey ON billing.finalising_types: PRIMARY KEY (type);
CONSTRAINT invoice_ids_invoice ON billing.invoice_ids: FOREIGN KEY (account, id) REFERENCES billing.invoices(account, id) DEFERRABLE INITIALLY DEFERRED;
CONSTRAINT invoice_ids_pkey ON billing.invoice_ids: PRIMARY KEY (account, id);
CONSTRAINT invoice_lines_adjustment ON billing.invoice_lines: FOREIGN KEY (account, adjustment) REFERENCES billing.adjustments(account, id);
CONSTRAINT invoice_lines_adjusts ON billing.invoice_lines: CHECK ((((rerating IS NULL) OR (adjustment IS NULL)) AND ((rerating IS NULL) = (terms_before IS NULL))));
CONSTRAINT invoice_lines_amount ON billing.invoice_lines: CHECK (((amount > '-100000000000000000000000000000000000000'::numeric) AND (amount < '100000000000000000000000000000000000000'::numeric)));
CONSTRAINT invoice_lines_counts ON billing.invoice_lines: CHECK (((events >= 0) AND (pinned >= events) AND (before_counted >= 0)));
CONSTRAINT invoice_lines_days ON billing.invoice_lines: CHECK (((days > 0) AND (period_days > 0)));
CONSTRAINT invoice_lines_invoice ON billing.invoice_lines: FOREIGN KEY (account, invoice_id) REFERENCES billing.invoice_ids(account, id);
CONSTRAINT invoice_lines_line ON billing.invoice_lines: CHECK (((line > 0) AND (terms >= 0)));
CONSTRAINT invoice_lines_of_adjustment ON billing.invoice_lines: CHECK (((adjustment IS NULL) OR ((pinned = 0) AND (billed = (0)::numeric) AND (exact = amount))));
CONSTRAINT invoice_lines_once ON billing.invoice_lines: UNIQUE NULLS NOT DISTINCT (account, invoice_id, charge, origin_start, adjustment);
CONSTRAINT invoice_lines_origin ON billing.invoice_lines: CHECK (((origin_start < origin_end) AND (late OR (origin_invoice IS NULL)) AND (origin_invoice <> invoice_id)));
CONSTRAINT invoice_lines_origin_invoice ON billing.invoice_lines: FOREIGN KEY (account, origin_invoice) REFERENCES billing.invoice_ids(account, id);
CONSTRAINT invoice_lines_pkey ON billing.invoice_lines: PRIMARY KEY (account, invoice_id, line);
CONSTRAINT invoice_lines_rerating ON billing.invoice_lines: FOREIGN KEY (account, rerating) REFERENCES billing.reratings(account, terms);
CONSTRAINT invoice_numbers_invoice ON billing.invoice_numbers: FOREIGN KEY (account, invoice_id) REFERENCES billing.invoices(account, id);
CONSTRAINT invoice_numbers_invoice_id ON billing.invoice_numbers: UNIQUE (account, invoice_id);
CONSTRAINT invoice_numbers_number ON billing.invoice_numbers: CHECK ((number > 0));
CONSTRAINT invoice_numbers_pkey ON billing.invoice_numbers: PRIMARY KEY (series, number);
CONSTRAINT invoice_numbers_position ON billing.invoice_numbers: UNIQUE ("position");
CONSTRAINT invoice_numbers_printed ON billing.invoice_numbers: UNIQUE (printed);
CONSTRAINT invoices_counts ON billing.invoices: CHECK (((events >= 0) AND (pinned >= events)));
CONSTRAINT invoices_currency ON billing.invoices: CHECK ((currency ~ '^[A-Z]{3}$'::text));
CONSTRAINT invoices_cycle ON billing.invoices: FOREIGN KEY (account, cycle_start) REFERENCES billing.cycles(account, starts_at);
CONSTRAINT invoices_id ON billing.invoices: UNIQUE (id);
CONSTRAINT invoices_one_per_cycle ON billing.invoices: UNIQUE NULLS NOT DISTINCT (account, cycle_start, currency, stream, rebills);
CONSTRAINT invoices_pkey ON billing.invoices: PRIMARY KEY (account, id);
CONSTRAINT invoices_position ON billing.invoices: UNIQUE ("position");
CONSTRAINT invoices_rebills ON billing.invoices: FOREIGN KEY (account, rebills) REFERENCES billing.voids(account, invoice_id) DEFERRABLE INITIALLY DEFERRED;
CONSTRAINT invoices_run ON billing.invoices: FOREIGN KEY (run) REFERENCES billing.close_runs(n);
CONSTRAINT invoices_span ON billing.invoices: CHECK ((cycle_start < cycle_end));
CONSTRAINT invoices_total ON billing.invoices: CHECK (((total > '-100000000000000000000000000000000000000'::numeric) AND (total < '100000000000000000000000000000000000000'::numeric)));
CONSTRAINT invoices_watermark ON billing.invoices: CHECK (((watermark >= 0) AND (watermark < "position")));
CONSTRAINT invoices_written_by ON billing.invoices: CHECK ((((run IS NULL) = (rebills IS NOT NULL)) AND (rebills <> id)));
CONSTRAINT late_events_found_by ON billing.late_events: CHECK ((found_by = ANY (ARRAY['reconcile'::text, 'close'::text])));
CONSTRAINT late_events_is_late ON billing.late_events: CHECK (((("position" > closed_watermark) OR (finalised_by IS NOT NULL)) AND (target_start >= origin_end)));
CONSTRAINT late_events_pkey ON billing.late_events: PRIMARY KEY (account, "position");
CONSTRAINT late_events_span ON billing.late_events: CHECK ((origin_start < origin_end));
CONSTRAINT number_formats_kind ON billing.number_formats: CHECK ((kind = ANY (ARRAY['invoice'::text, 'credit-note'::text])));
CONSTRAINT number_formats_pkey ON billing.number_formats: PRIMARY KEY ("position");
CONSTRAINT open_adjustments_pkey ON billing.open_adjustments: PRIMARY KEY (account, adjustment);
CONSTRAINT orders_finalised ON billing.orders: CHECK ((finalised_at >= since));
CONSTRAINT orders_pkey ON billing.orders: PRIMARY KEY (account, source, stream, since);
CONSTRAINT orders_run ON billing.orders: FOREIGN KEY (run) REFERENCES billing.close_runs(n);
CONSTRAINT parkings_pkey ON billing.parkings: PRIMARY KEY (account, run);
CONSTRAINT parkings_position ON billing.parkings: UNIQUE ("position");
CONSTRAINT parkings_run ON billing.parkings: FOREIGN KEY (run) REFERENCES billing.close_runs(n);
CONSTRAINT payments_amount ON billing.payments: CHECK (((amount <> (0)::numeric) AND (amount > '-100000000000000000000000000000000000000'::numeric) AND (amount < '100000000000000000000000000000000000000'::numeric)));
CONSTRAINT payments_invoice ON billing.payments: FOREIGN KEY (account, invoice_id) REFERENCES billing.invoice_numbers(account, invoice_id);
CONSTRAINT payments_pkey ON billing.payments: PRIMARY KEY (account, invoice_id, reference);
CONSTRAINT payments_position ON billing.payments: UNIQUE ("position");
CONSTRAINT payments_reverses ON billing.payments: FOREIGN KEY (account, invoice_id, reverses) REFERENCES billing.payments(account, invoice_id, reference);
CONSTRAINT payments_reverses_another ON billing.payments: CHECK ((reverses <> reference));
CONSTRAINT pins_invoice ON billing.pins: FOREIGN KEY (account, invoice_id) REFERENCES billing.invoice_ids(account, id);
CONSTRAINT pins_one_live ON billing.pins: UNIQUE NULLS NOT DISTINCT (account, "position", replaces);
CONSTRAINT pins_pkey ON billing.pins: PRIMARY KEY (account, invoice_id, "position");
CONSTRAINT pins_replaces_pin ON billing.pins: FOREIGN KEY (account, replaces, "position") REFERENCES billing.pins(account, invoice_id, "position");
CONSTRAINT pins_replaces_void ON billing.pins: FOREIGN KEY (account, replaces) REFERENCES billing.voids(account, invoice_id) DEFERRABLE INITIALLY DEFERRED;
CONSTRAINT progress_pkey ON billing.progress: PRIMARY KEY (name);
CONSTRAINT releases_parking ON billing.releases: FOREIGN KEY (account, run) REFERENCES billing.parkings(account, run);
CONSTRAINT releases_pkey ON billing.releases: PRIMARY KEY (account, run);
CONSTRAINT releases_position ON billing.releases: UNIQUE ("position");
CONSTRAINT rerated_pkey ON billing.rerated: PRIMARY KEY (account, terms);
CONSTRAINT rerated_rerating ON billing.rerated: FOREIGN KEY (account, terms) REFERENCES billing.reratings(account, terms);
CONSTRAINT rerated_run ON billing.rerated: FOREIGN KEY (run) REFERENCES billing.close_runs(n);
CONSTRAINT rerating_exceptions_pkey ON billing.rerating_exceptions: PRIMARY KEY (account, terms);
CONSTRAINT rerating_exceptions_terms ON billing.rerating_exceptions: FOREIGN KEY (terms) REFERENCES billing.default_reratings(terms);
CONSTRAINT reratings_default_terms ON billing.reratings: FOREIGN KEY (defaults) REFERENCES billing.default_reratings(terms);
CONSTRAINT reratings_defaults ON billing.reratings: CHECK ((defaults = terms));
CONSTRAINT reratings_pkey ON billing.reratings: PRIMARY KEY (account, terms);
CONSTRAINT reratings_position ON billing.reratings: UNIQUE ("position");
CONSTRAINT reratings_span ON billing.reratings: CHECK ((from_at < through_at));
CONSTRAINT reratings_terms ON billing.reratings: FOREIGN KEY (account, own) REFERENCES billing.terms(account, n);
CONSTRAINT reviews_invoice ON billing.reviews: FOREIGN KEY (account, invoice_id) REFERENCES billing.invoices(account, id);
CONSTRAINT reviews_pkey ON billing.reviews: PRIMARY KEY (account, invoice_id);
CONSTRAINT statuses_invoice ON billing.statuses: FOREIGN KEY (account, invoice_id) REFERENCES billing.invoice_numbers(account, invoice_id);
CONSTRAINT statuses_pkey ON billing.statuses: PRIMARY KEY (account, invoice_id, "position");
CONSTRAINT statuses_position ON billing.statuses: UNIQUE ("position");
CONSTRAINT statuses_status ON billing.statuses: CHECK ((status = 'sent'::text));
CONSTRAINT terms_account ON billing.terms: UNIQUE (account, n);
CONSTRAINT terms_pkey ON billing.terms: PRIMARY KEY (n);
CONSTRAINT voids_invoice ON billing.voids: FOREIGN KEY (account, invoice_id) REFERENCES billing.invoices(account, id);
CONSTRAINT voids_outcome ON billing.voids: CHECK ((outcome = ANY (ARRAY['rebill'::text, 'write-off'::text])));
CONSTRAINT voids_pkey ON billing.voids: PRIMARY KEY (account, invoice_id);
CONSTRAINT voids_position ON billing.voids: UNIQUE ("position");
CONSTRAINT exports_pkey ON export.exports: PRIMARY KEY (n);
CONSTRAINT freezes_bounds ON export.freezes: CHECK (((0 < first_position) AND (first_position <= last_position) AND (last_position <= watermark) AND (watermark < "position")));
CONSTRAINT freezes_chain ON export.freezes: UNIQUE NULLS NOT DISTINCT (previous);
CONSTRAINT freezes_forward ON export.freezes: CHECK (((previous < month) AND (previous_watermark <= watermark)));
CONSTRAINT freezes_link ON export.freezes: UNIQUE (month, watermark);
CONSTRAINT freezes_month ON export.freezes: CHECK ((month = date_trunc('month'::text, (month)::timestamp with time zone)));
CONSTRAINT freezes_not_empty ON export.freezes: CHECK (((rows > 0) AND ((late_rows >= 0) AND (late_rows <= rows))));
CONSTRAINT freezes_pkey ON export.freezes: PRIMARY KEY (month);
CONSTRAINT freezes_position ON export.freezes: UNIQUE ("position");
CONSTRAINT freezes_previous ON export.freezes: FOREIGN KEY (previous, previous_watermark) REFERENCES export.freezes(month, watermark);
CONSTRAINT freezes_previous_watermark ON export.freezes: CHECK (((previous IS NOT NULL) OR (previous_watermark = 0)));
CONSTRAINT archives_bounds ON ledger.archives: CHECK (((0 < first_position) AND (first_position <= last_position) AND (first_occurred_at <= last_occurred_at) AND (first_business_date <= last_business_date)));
CONSTRAINT archives_first_seal ON ledger.archives: FOREIGN KEY (first_seal) REFERENCES ledger.seals(number);
CONSTRAINT archives_last_seal ON ledger.archives: FOREIGN KEY (last_seal) REFERENCES ledger.seals(number);
CONSTRAINT archives_manifest ON ledger.archives: CHECK ((length(manifest_sha256) = 32));
CONSTRAINT archives_month ON ledger.archives: CHECK ((month = date_trunc('month'::text, (month)::timestamp with time zone)));
CONSTRAINT archives_not_empty ON ledger.archives: CHECK (((rows > 0) AND (rows <= ((last_position - first_position) + 1))));
CONSTRAINT archives_pkey ON ledger.archives: PRIMARY KEY (n);
CONSTRAINT column_floors_column ON ledger.column_floors: FOREIGN KEY (name) REFERENCES ledger.columns(name);
CONSTRAINT column_floors_pkey ON ledger.column_floors: PRIMARY KEY (name);
CONSTRAINT column_indexes_column ON ledger.column_indexes: FOREIGN KEY (name) REFERENCES ledger.columns(name);
CONSTRAINT column_indexes_pkey ON ledger.column_indexes: PRIMARY KEY (name);
CONSTRAINT columns_describes ON ledger.columns: CHECK ((describes = ANY (ARRAY['event'::text, 'stream'::text])));
CONSTRAINT columns_kind ON ledger.columns: CHECK ((kind = ANY (ARRAY['dimension'::text, 'money'::text, 'quantity'::text])));
CONSTRAINT columns_pkey ON ledger.columns: PRIMARY KEY (name);
CONSTRAINT columns_type ON ledger.columns: CHECK ((type = ANY (ARRAY['text'::text, 'bigint'::text, 'boolean'::text, 'date'::text, 'uuid'::text, 'timestamptz'::text, 'numeric'::text])));
CONSTRAINT completeness_doubled_pkey ON ledger.completeness_doubled: PRIMARY KEY (source, seqn, "position");
CONSTRAINT completeness_filled_pkey ON ledger.completeness_filled: PRIMARY KEY (n);
CONSTRAINT completeness_gaps_pkey ON ledger.completeness_gaps: PRIMARY KEY (source, stream, from_seqn);
CONSTRAINT completeness_gaps_range ON ledger.completeness_gaps: CHECK (((0 < from_seqn) AND (from_seqn <= to_seqn)));
CONSTRAINT completeness_progress_only_row ON ledger.completeness_progress: CHECK (only_row);
CONSTRAINT completeness_progress_pkey ON ledger.completeness_progress: PRIMARY KEY (only_row);
CONSTRAINT completeness_sources_pkey ON ledger.completeness_sources: PRIMARY KEY (source);
CONSTRAINT conflict_decisions_conflict ON ledger.conflict_decisions: FOREIGN KEY (conflict) REFERENCES ledger.conflicts(n);
CONSTRAINT conflict_decisions_outcome ON ledger.conflict_decisions: CHECK (
CASE outcome
    WHEN 'dismissed'::text THEN (num_nonnulls(event_id, seqn, "position") = 0)
    WHEN 'recorded'::text THEN ((event_id IS NOT NULL) AND ("position" IS NOT NULL))
    ELSE false
END);
CONSTRAINT conflict_decisions_pkey ON ledger.conflict_decisions: PRIMARY KEY (conflict);
CONSTRAINT conflict_decisions_why ON ledger.conflict_decisions: CHECK (((why <> ''::text) AND (decided_by <> ''::text)));
CONSTRAINT conflict_private_conflict ON ledger.conflict_private: FOREIGN KEY (conflict) REFERENCES ledger.conflicts(n);
CONSTRAINT conflict_private_once ON ledger.conflict_private: UNIQUE (event_key, digest, tag);
CONSTRAINT conflict_private_pkey ON ledger.conflict_private: PRIMARY KEY (conflict);
CONSTRAINT conflicts_pkey ON ledger.conflicts: PRIMARY KEY (n);
CONSTRAINT conflicts_reason ON ledger.conflicts: CHECK ((reason = ANY (ARRAY['content'::text, 'sequence'::text, 'currency'::text])));
CONSTRAINT content_flags_pkey ON ledger.content_flags: PRIMARY KEY ("position", field, rule);
CONSTRAINT content_flags_rule ON ledger.content_flags: CHECK ((rule = ANY (ARRAY['card_number'::text, 'iban'::text, 'email'::text])));
CONSTRAINT dead_letter_content_letter ON ledger.dead_letter_content: FOREIGN KEY (letter) REFERENCES ledger.dead_letters(n);
CONSTRAINT dead_letter_content_pkey ON ledger.dead_letter_content: PRIMARY KEY (letter);
CONSTRAINT dead_letter_decisions_letter ON ledger.dead_letter_decisions: FOREIGN KEY (letter) REFERENCES ledger.dead_letters(n);
CONSTRAINT dead_letter_decisions_outcome ON ledger.dead_letter_decisions: CHECK ((outcome = ANY (ARRAY['retried'::text, 'discarded'::text])));
CONSTRAINT dead_letter_decisions_pkey ON ledger.dead_letter_decisions: PRIMARY KEY (letter);
CONSTRAINT dead_letter_decisions_why ON ledger.dead_letter_decisions: CHECK (((why <> ''::text) AND (decided_by <> ''::text) AND ((why IS NOT NULL) OR (outcome = 'retried'::text))));
CONSTRAINT dead_letter_events_letter ON ledger.dead_letter_events: FOREIGN KEY (letter) REFERENCES ledger.dead_letter_decisions(letter);
CONSTRAINT dead_letter_events_pkey ON ledger.dead_letter_events: PRIMARY KEY (letter, item);
CONSTRAINT dead_letter_events_status ON ledger.dead_letter_events: CHECK ((status = ANY (ARRAY['recorded'::text, 'duplicate'::text, 'conflict'::text])));
CONSTRAINT dead_letters_once ON ledger.dead_letters: UNIQUE (topic, topic_id, partition, "offset");
CONSTRAINT dead_letters_pkey ON ledger.dead_letters: PRIMARY KEY (n);
CONSTRAINT declarations_pkey ON ledger.declarations: PRIMARY KEY (n);
CONSTRAINT detachments_archive ON ledger.detachments: FOREIGN KEY (archive) REFERENCES ledger.archives(n);
CONSTRAINT detachments_pkey ON ledger.detachments: PRIMARY KEY (n);
CONSTRAINT erased_pkey ON ledger.erased: PRIMARY KEY ("position");
CONSTRAINT erased_conflicts_conflict ON ledger.erased_conflicts: FOREIGN KEY (conflict) REFERENCES ledger.conflicts(n);
CONSTRAINT erased_conflicts_pkey ON ledger.erased_conflicts: PRIMARY KEY (conflict);
CONSTRAINT erased_dead_letters_letter ON ledger.erased_dead_letters: FOREIGN KEY (letter) REFERENCES ledger.dead_letters(n);
CONSTRAINT erased_dead_letters_pkey ON ledger.erased_dead_letters: PRIMARY KEY (letter);
CONSTRAINT erasure_ends_erasure ON ledger.erasure_ends: FOREIGN KEY (erasure) REFERENCES ledger.erasures(n);
CONSTRAINT erasure_ends_pkey ON ledger.erasure_ends: PRIMARY KEY (erasure);
CONSTRAINT erasure_ends_position ON ledger.erasure_ends: UNIQUE ("position");
CONSTRAINT erasures_pkey ON ledger.erasures: PRIMARY KEY (n);
CONSTRAINT erasures_scope ON ledger.erasures: CHECK (
CASE scope
    WHEN 'account'::text THEN ((account IS NOT NULL) AND (num_nonnulls(source, event_id, before, letter) = 0))
    WHEN 'event'::text THEN ((source IS NOT NULL) AND (event_id IS NOT NULL) AND (num_nonnulls(account, before, letter) = 0))
    WHEN 'before'::text THEN ((before IS NOT NULL) AND (num_nonnulls(account, event_id, letter) = 0))
    WHEN 'dead_letter'::text THEN ((letter IS NOT NULL) AND (num_nonnulls(account, source, event_id, before) = 0))
    ELSE false
END);
CONSTRAINT erasures_why ON ledger.erasures: CHECK (((why <> ''::text) AND (erased_by <> ''::text)));
CONSTRAINT event_keys_pkey ON ledger.event_keys: PRIMARY KEY (event_key);
CONSTRAINT event_keys_position_key ON ledger.event_keys: UNIQUE (position_key);
CONSTRAINT events_amount ON ledger.events: CHECK (((amount > '-100000000000000000000000000000000000000'::numeric) AND (amount < '100000000000000000000000000000000000000'::numeric)));
CONSTRAINT events_kind ON ledger.events: CHECK ((kind = ANY (ARRAY['upstream'::text, 'adjustment'::text, 'reorder'::text, 'reversal'::text])));
CONSTRAINT events_pkey ON ledger.events: PRIMARY KEY ("position", recorded_at);
CONSTRAINT events_quantity ON ledger.events: CHECK (((quantity > '-100000000000000000000000000000000000000'::numeric) AND (quantity < '100000000000000000000000000000000000000'::numeric)));
CONSTRAINT events_seqn ON ledger.events: CHECK (((seqn >= 0) AND (seqn <= '281474976710655'::bigint)));
CONSTRAINT import_decisions_file ON ledger.import_decisions: FOREIGN KEY (file) REFERENCES ledger.import_files(n);
CONSTRAINT import_decisions_outcome ON ledger.import_decisions: CHECK ((outcome = ANY (ARRAY['retry'::text, 'discard'::text])));
CONSTRAINT import_decisions_pkey ON ledger.import_decisions: PRIMARY KEY (n);
CONSTRAINT import_decisions_why ON ledger.import_decisions: CHECK ((why <> ''::text));
CONSTRAINT import_files_done ON ledger.import_files: CHECK (((state <> ALL (ARRAY['done'::text, 'same'::text])) OR (sha256 IS NOT NULL)));
CONSTRAINT import_files_ended ON ledger.import_files: CHECK (((state = ANY (ARRAY['queued'::text, 'running'::text])) = (ended_at IS NULL)));
CONSTRAINT import_files_leased ON ledger.import_files: CHECK ((((state = 'running'::text) = (leased_until IS NOT NULL)) AND ((state = 'running'::text) = (importer IS NOT NULL))));
CONSTRAINT import_files_once ON ledger.import_files: UNIQUE (location, name, version);
CONSTRAINT import_files_pkey ON ledger.import_files: PRIMARY KEY (n);
CONSTRAINT import_files_settled ON ledger.import_files: CHECK ((resume = (((recorded + duplicate) + conflict) + invalid)));
CONSTRAINT import_files_sha256 ON ledger.import_files: CHECK (((length(sha256) = 32) AND (length(mapping_sha256) = 32)));
CONSTRAINT import_files_state ON ledger.import_files: CHECK ((state = ANY (ARRAY['queued'::text, 'running'::text, 'done'::text, 'same'::text, 'failed'::text, 'changed'::text, 'gone'::text, 'discarded'::text])));
CONSTRAINT import_problems_file ON ledger.import_problems: FOREIGN KEY (file) REFERENCES ledger.import_files(n);
CONSTRAINT import_problems_pkey ON ledger.import_problems: PRIMARY KEY (file, pass, item);
CONSTRAINT import_problems_status ON ledger.import_problems: CHECK ((status = ANY (ARRAY['invalid'::text, 'conflict'::text])));
CONSTRAINT migrations_pkey ON ledger.migrations: PRIMARY KEY (id);
CONSTRAINT offsets_offset ON ledger.offsets: CHECK (("offset" >= 0));
CONSTRAINT offsets_pkey ON ledger.offsets: PRIMARY KEY (consumer, topic, partition);
CONSTRAINT private_pkey ON ledger.private: PRIMARY KEY ("position");
CONSTRAINT publishers_partitions ON ledger.publishers: CHECK ((partitions > 0));
CONSTRAINT publishers_pkey ON ledger.publishers: PRIMARY KEY (name);
CONSTRAINT publishers_position ON ledger.publishers: CHECK (("position" >= 0));
CONSTRAINT seals_block ON ledger.seals: CHECK (((0 < first_position) AND (first_position <= last_position) AND (last_position < "position")));
CONSTRAINT seals_count ON ledger.seals: CHECK (((0 < count) AND (count <= 65536) AND (count <= ((last_position - first_position) + 1))));
CONSTRAINT seals_hashes ON ledger.seals: CHECK (((length(root) = 32) AND (length(positions_sha256) = 32) AND (length(tags_sha256) = 32) AND (length(previous) = 32) AND (length(hash) = 32) AND (length(tree_root) = 32)));
CONSTRAINT seals_link ON ledger.seals: UNIQUE (number, last_position, hash);
CONSTRAINT seals_number ON ledger.seals: CHECK ((number > 0));
CONSTRAINT seals_pkey ON ledger.seals: PRIMARY KEY (number);
CONSTRAINT seals_position ON ledger.seals: UNIQUE ("position");
CONSTRAINT seals_previous ON ledger.seals: FOREIGN KEY (previous_number, previous_last, previous) REFERENCES ledger.seals(number, last_position, hash) MATCH FULL;
CONSTRAINT seals_tags ON ledger.seals: CHECK ((length(tags) = (4 * count)));
CONSTRAINT settings_freeze_grace ON ledger.settings: CHECK (((freeze_grace_seconds >= 0) AND (freeze_grace_seconds <= 2678400)));
CONSTRAINT settings_only_row ON ledger.settings: CHECK (only_row);
CONSTRAINT settings_pkey ON ledger.settings: PRIMARY KEY (only_row);
CONSTRAINT sources_numbering ON ledger.sources: CHECK ((numbering = ANY (ARRAY['stream'::text, 'source'::text, 'none'::text])));
CONSTRAINT sources_pkey ON ledger.sources: PRIMARY KEY (n);
CONSTRAINT sources_policy ON ledger.sources: CHECK (((card_numbers = ANY (ARRAY['allow'::text, 'flag'::text, 'private'::text, 'refuse'::text])) AND (ibans = ANY (ARRAY['allow'::text, 'flag'::text, 'private'::text, 'refuse'::text])) AND (emails = ANY (ARRAY['allow'::text, 'flag'::text, 'private'::text, 'refuse'::text]))));
CONSTRAINT types_pkey ON ledger.types: PRIMARY KEY (n);
CONSTRAINT types_version ON ledger.types: UNIQUE (name, version);
CONSTRAINT types_versions ON ledger.types: CHECK ((version > 0));
CONSTRAINT watermarks_pkey ON ledger.watermarks: PRIMARY KEY (n);
CONSTRAINT watermarks_position ON ledger.watermarks: CHECK (("position" >= 0));
CONSTRAINT balances_pkey ON reconcile.balances: PRIMARY KEY (account, currency, watermark);
CONSTRAINT balances_run ON reconcile.balances: FOREIGN KEY (run) REFERENCES reconcile.runs(id);
CONSTRAINT findings_fingerprint ON reconcile.findings: UNIQUE (fingerprint);
CONSTRAINT findings_pkey ON reconcile.findings: PRIMARY KEY (id);
CONSTRAINT findings_position ON reconcile.findings: UNIQUE ("position");
CONSTRAINT findings_run ON reconcile.findings: FOREIGN KEY (run) REFERENCES reconcile.runs(id);
CONSTRAINT resolutions_finding ON reconcile.resolutions: FOREIGN KEY (finding) REFERENCES reconcile.findings(id);
CONSTRAINT resolutions_outcome ON reconcile.resolutions: CHECK ((outcome = ANY (ARRAY['gone'::text, 'accepted'::text, 'corrected'::text])));
CONSTRAINT resolutions_pkey ON reconcile.resolutions: PRIMARY KEY (n);
CONSTRAINT runs_pkey ON reconcile.runs: PRIMARY KEY (id);
CONSTRAINT runs_position ON reconcile.runs: UNIQUE ("position");
CONSTRAINT sightings_finding ON reconcile.sightings: FOREIGN KEY (finding) REFERENCES reconcile.findings(id);
CONSTRAINT sightings_pkey ON reconcile.sightings: PRIMARY KEY (finding, run);
CONSTRAINT sightings_run ON reconcile.sightings: FOREIGN KEY (run) REFERENCES reconcile.runs(id);

-- Indexes that aren't constraints

CREATE INDEX events_account ON ONLY archive.events USING btree (account, occurred_at);
CREATE INDEX events_caused_by ON ONLY archive.events USING btree (caused_by) WHERE (caused_by IS NOT NULL);
CREATE INDEX events_occurred_at ON ONLY archive.events USING brin (occurred_at timestamptz_minmax_multi_ops);
CREATE INDEX events_unnumbered ON ONLY archive.events USING btree (source, stream) WHERE (seqn IS NULL);
CREATE INDEX carried_open ON billing.carried USING btree (account, source, stream) WHERE (settled IS NULL);
CREATE INDEX carried_settled ON billing.carried USING btree (account) WHERE (settled IS NOT NULL);
CREATE INDEX carried_stream ON billing.carried USING btree (source, stream) WHERE (settled IS NULL);
CREATE INDEX close_failures_account ON billing.close_failures USING btree (account);
CREATE INDEX credit_note_lines_by_line ON billing.credit_note_lines USING btree (account, invoice_id, line);
CREATE INDEX finalisations_position ON billing.finalisations USING btree ("position");
CREATE INDEX invoice_lines_adjustment ON billing.invoice_lines USING btree (account, adjustment) WHERE (adjustment IS NOT NULL);
CREATE INDEX invoice_lines_contract ON billing.invoice_lines USING btree (account, charge, origin_start) WHERE (contract IS NOT NULL);
CREATE INDEX invoice_lines_origin ON billing.invoice_lines USING btree (account, origin_start);
CREATE INDEX exports_by_month ON export.exports USING btree (month, n);
CREATE INDEX archives_by_month ON ledger.archives USING btree (month, n);
CREATE INDEX completeness_filled_at ON ledger.completeness_filled USING btree (filled_at);
CREATE INDEX completeness_filled_source ON ledger.completeness_filled USING btree (source, filled_at);
CREATE INDEX completeness_gaps_earliest ON ledger.completeness_gaps USING btree (source, earliest);
CREATE INDEX completeness_gaps_since ON ledger.completeness_gaps USING btree (source, since_position, stream, from_seqn);
CREATE INDEX conflicts_event ON ledger.conflicts USING btree (event_key, digest);
CREATE INDEX conflicts_source ON ledger.conflicts USING btree (source, n);
CREATE INDEX detachments_by_month ON ledger.detachments USING btree (month, n DESC);
CREATE INDEX erased_by_erasure ON ledger.erased USING btree (erasure);
CREATE INDEX erased_conflicts_by_erasure ON ledger.erased_conflicts USING btree (erasure);
CREATE INDEX erased_dead_letters_by_erasure ON ledger.erased_dead_letters USING btree (erasure);
CREATE INDEX event_keys_by_position ON ledger.event_keys USING brin ("position") WITH (autosummarize='on');
CREATE INDEX events_account ON ONLY ledger.events USING btree (account, occurred_at);
CREATE INDEX events_caused_by ON ONLY ledger.events USING btree (caused_by) WHERE (caused_by IS NOT NULL);
CREATE INDEX events_occurred_at ON ONLY ledger.events USING brin (occurred_at timestamptz_minmax_multi_ops);
CREATE INDEX events_unnumbered ON ONLY ledger.events USING btree (source, stream) WHERE (seqn IS NULL);
CREATE INDEX import_decisions_by_file ON ledger.import_decisions USING btree (file, n);
CREATE INDEX import_files_open ON ledger.import_files USING btree (location, n) WHERE (state = ANY (ARRAY['queued'::text, 'running'::text]));
CREATE INDEX import_files_wrong ON ledger.import_files USING btree (n) WHERE ((state = ANY (ARRAY['failed'::text, 'changed'::text, 'gone'::text])) OR ((state = 'done'::text) AND (invalid > 0)));
CREATE INDEX seals_last_position ON ledger.seals USING btree (last_position);
CREATE INDEX sources_name ON ledger.sources USING btree (name, n DESC);
CREATE INDEX watermarks_by_position ON ledger.watermarks USING btree ("position");
CREATE INDEX watermarks_taken_at ON ledger.watermarks USING btree (taken_at);
CREATE INDEX balances_waiting ON reconcile.balances USING btree (account, currency, watermark) WHERE (oldest IS NOT NULL);
CREATE INDEX resolutions_by_finding ON reconcile.resolutions USING btree (finding, n);

-- Triggers

CREATE TRIGGER refuse_any_row BEFORE DELETE OR UPDATE ON archive.events FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_any_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON archive.events FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.adjustment_decisions FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.adjustment_decisions FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.adjustments FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.adjustments FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.approvals FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.approvals FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.close_failures FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.close_failures FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.close_run_ends FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.close_run_ends FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.close_runs FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.close_runs FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.closes FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.closes FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.contract_uses FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.contract_uses FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.credit_note_lines FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.credit_note_lines FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.credit_note_numbers FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.credit_note_numbers FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.credit_notes FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.credit_notes FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.cycles FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.cycles FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.default_rerating_ends FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.default_rerating_ends FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.default_reratings FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.default_reratings FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.invoice_ids FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.invoice_ids FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.invoice_lines FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.invoice_lines FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.invoice_numbers FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.invoice_numbers FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.invoices FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.invoices FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.late_events FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.late_events FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.number_formats FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.number_formats FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.orders FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.orders FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.parkings FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.parkings FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.payments FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.payments FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.pins FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.pins FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.releases FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.releases FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.rerated FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.rerated FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.rerating_exceptions FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.rerating_exceptions FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.reratings FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.reratings FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.reviews FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.reviews FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.statuses FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.statuses FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.terms FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.terms FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON billing.voids FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON billing.voids FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON export.exports FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON export.exports FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON export.freezes FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON export.freezes FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.archives FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.archives FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.column_floors FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.column_floors FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.column_indexes FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.column_indexes FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.columns FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.columns FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.conflict_decisions FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.conflict_decisions FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.conflict_private FOR EACH ROW EXECUTE FUNCTION ledger.refuse_unerased() (enabled always);
CREATE TRIGGER refuse_statement BEFORE UPDATE OR TRUNCATE ON ledger.conflict_private FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_unerased() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.conflicts FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.conflicts FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.content_flags FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.content_flags FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.dead_letter_content FOR EACH ROW EXECUTE FUNCTION ledger.refuse_unerased() (enabled always);
CREATE TRIGGER refuse_statement BEFORE UPDATE OR TRUNCATE ON ledger.dead_letter_content FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_unerased() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.dead_letter_decisions FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.dead_letter_decisions FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.dead_letter_events FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.dead_letter_events FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.dead_letters FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.dead_letters FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.declarations FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.declarations FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.detachments FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.detachments FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.erased FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.erased FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.erased_conflicts FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.erased_conflicts FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.erased_dead_letters FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.erased_dead_letters FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.erasure_ends FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.erasure_ends FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.erasures FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.erasures FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.event_keys FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.event_keys FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_any_row BEFORE DELETE OR UPDATE ON ledger.events FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_any_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.events FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.import_decisions FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.import_decisions FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.import_problems FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.import_problems FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.private FOR EACH ROW EXECUTE FUNCTION ledger.refuse_unerased() (enabled always);
CREATE TRIGGER refuse_statement BEFORE UPDATE OR TRUNCATE ON ledger.private FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_unerased() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.seals FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.seals FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.settings FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.settings FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.sources FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.sources FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.types FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.types FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON ledger.watermarks FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.watermarks FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON reconcile.balances FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON reconcile.balances FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON reconcile.findings FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON reconcile.findings FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON reconcile.resolutions FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON reconcile.resolutions FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON reconcile.runs FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON reconcile.runs FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_row BEFORE DELETE OR UPDATE ON reconcile.sightings FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change() (enabled always);
CREATE TRIGGER refuse_statement BEFORE DELETE OR UPDATE OR TRUNCATE ON reconcile.sightings FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change() (enabled always);

-- Views: columns

VIEW billing.adjustment_states (account text, adjustment uuid, status text, position bigint, invoice_id uuid);
VIEW billing.credit_note_lines_v1 (account text, credit_note_id uuid, invoice_id uuid, line integer, amount numeric);
VIEW billing.credit_notes_v1 (account text, id uuid, series text, number bigint, printed text, invoice_id uuid, reference text, currency text, total numeric, reason text, created_by text, position bigint, created_at timestamp with time zone, issued_at timestamp with time zone, cancels uuid);
VIEW billing.invoice_lines_v1 (account text, invoice_id uuid, line integer, charge text, origin_start timestamp with time zone, origin_end timestamp with time zone, late boolean, origin_invoice uuid, events bigint, added numeric, exact numeric, amount numeric);
VIEW billing.invoice_states (account text, invoice_id uuid, status text, credited numeric, paid numeric, open numeric, sent_at timestamp with time zone);
VIEW billing.invoices_v1 (account text, id uuid, series text, number bigint, printed text, cycle_start timestamp with time zone, cycle_end timestamp with time zone, currency text, stream text, total numeric, credited numeric, paid numeric, open numeric, status text, events bigint, rebills uuid, voided text, review text, watermark bigint, position bigint, created_at timestamp with time zone, issued_at timestamp with time zone, sent_at timestamp with time zone);
VIEW billing.parked (account text, run bigint, finding text, parked_at timestamp with time zone);
VIEW billing.payments_v1 (account text, invoice_id uuid, reference text, amount numeric, paid_on date, reverses text, note text, recorded_by text, position bigint, recorded_at timestamp with time zone);
VIEW billing.pins_v1 (account text, position bigint, recorded_at timestamp with time zone, origin_start timestamp with time zone, invoice_id uuid, replaces uuid, live boolean);
VIEW ledger.detached_months (month date, rows bigint, first_position bigint, last_position bigint, first_occurred_at timestamp with time zone, last_occurred_at timestamp with time zone, first_business_date date, last_business_date date, archive bigint, moved_at timestamp with time zone, moved_by text);
VIEW ledger.event_indexes (name text, index oid, of oid, whole boolean, valid boolean, attached oid);
VIEW ledger.events_v1 (position bigint, recorded_at timestamp with time zone, occurred_at timestamp with time zone, business_date date, source text, event_id text, stream text, seqn bigint, type text, kind text, account text, currency text, amount numeric, quantity numeric, dimensions jsonb, corrects text, reason text, reference text, maker text, caused_by bigint);
VIEW ledger.events_v2 (position bigint, recorded_at timestamp with time zone, occurred_at timestamp with time zone, business_date date, source text, event_id text, stream text, seqn bigint, type text, kind text, account text, currency text, amount numeric, quantity numeric, dimensions jsonb, corrects text, reason text, reference text, maker text, caused_by bigint);
VIEW ledger.every_event (position bigint, recorded_at timestamp with time zone, seqn bigint, occurred_at timestamp with time zone, caused_by bigint, business_date date, source text, event_id text, stream text, type text, account text, currency text, kind text, amount numeric, quantity numeric, dimensions jsonb, state jsonb, corrects text, reason text, reference text, maker text, commitment bytea);
VIEW ledger.seals_v1 (number bigint, format integer, first_position bigint, last_position bigint, count bigint, root bytea, previous bytea, hash bytea, tree_root bytea, position bigint, sealed_at timestamp with time zone);

-- Functions

CREATE OR REPLACE FUNCTION ledger.attach_month(month date, moved_by text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '3s'
 SET "TimeZone" TO 'UTC'
AS $function$
DECLARE
    leaf text := 'events_' || to_char($1, 'YYYY_MM');
    copy bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(17484, 6); -- as in detach_month
    SELECT d.archive INTO copy FROM ledger.detached_months d WHERE d.month = $1;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    LOCK TABLE ONLY ledger.events IN SHARE UPDATE EXCLUSIVE MODE; -- as in detach_month
    PERFORM set_config('lock_timeout', '50ms', true);
    LOCK TABLE ONLY ledger.events IN ACCESS EXCLUSIVE MODE;
    LOCK TABLE ONLY archive.events IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('ALTER TABLE archive.events DETACH PARTITION archive.%I', leaf);
    EXECUTE format('ALTER TABLE archive.%I SET SCHEMA ledger', leaf);
    EXECUTE format('GRANT INSERT ON ledger.%I TO deltaledger_app', leaf);
    EXECUTE format('ALTER TABLE ledger.events ATTACH PARTITION ledger.%I FOR VALUES FROM (%L) TO (%L)',
        leaf, $1::timestamptz, $1 + interval '1 month');
    INSERT INTO ledger.detachments (month, detached, archive, moved_by) VALUES ($1, false, copy, $2);
    RETURN true;
END $function$;
CREATE OR REPLACE FUNCTION ledger.begin_watermark(OUT taken_at timestamp with time zone, OUT last_position bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    PERFORM pg_advisory_xact_lock(17484, 2); -- one taker at a time: taken_at must grow with n
    taken_at := greatest(clock_timestamp(), (SELECT w.taken_at FROM ledger.watermarks w ORDER BY w.n DESC LIMIT 1));
    -- A clock that ran ahead would be followed for ever after.
    IF to_regclass('ledger.events_' || to_char(taken_at AT TIME ZONE 'UTC', 'YYYY_MM')) IS NULL THEN
        RAISE EXCEPTION 'no watermark can be taken at %: events of that month have no partition', taken_at
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Set the clock of the database server right, or make the partition: SELECT ledger.create_partitions().';
    END IF;
    PERFORM setval('ledger.taken_seq', (extract(epoch FROM taken_at) * 1000000)::bigint);
    last_position := COALESCE(pg_sequence_last_value('ledger.position_seq'), 0);
    -- Then positions are given out twice, and what was said as of the watermark is no longer so.
    IF last_position < (SELECT w.position FROM ledger.watermarks w ORDER BY w.n DESC LIMIT 1) THEN
        RAISE EXCEPTION 'the last position is %, but a watermark says that more were given out: the sequence was set back', last_position
            USING ERRCODE = 'data_corrupted', HINT = 'Stop recording, and set ledger.position_seq above every position that is stored.';
    END IF;
END $function$;
CREATE OR REPLACE FUNCTION ledger.bigint_of(text)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN CASE WHEN ($1 ~ '^-?[0-9]{1,19}$'::text) THEN CASE WHEN ((($1)::numeric >= ('-9223372036854775808'::bigint)::numeric) AND (($1)::numeric <= ('9223372036854775807'::bigint)::numeric)) THEN ($1)::bigint ELSE NULL::bigint END ELSE NULL::bigint END;
CREATE OR REPLACE FUNCTION ledger.boolean_of(text)
 RETURNS boolean
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN CASE $1 WHEN 'true'::text THEN true WHEN 'false'::text THEN false ELSE NULL::boolean END;
CREATE OR REPLACE FUNCTION ledger.create_partitions(ahead integer DEFAULT 12)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '3s'
 SET "TimeZone" TO 'UTC'
AS $function$
DECLARE
    month timestamptz := date_trunc('month', clock_timestamp());
    leaf  text;
    made  integer := 0;
BEGIN
    IF ahead NOT BETWEEN 0 AND 120 THEN
        RAISE EXCEPTION 'partitions can be made 0 to 120 months ahead, not %', ahead USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(17484, 6); -- one maker at a time: two would collide on the name
    FOR i IN 0 .. ahead LOOP
        leaf := 'events_' || to_char(month, 'YYYY_MM');
        IF to_regclass('ledger.' || leaf) IS NULL AND to_regclass('archive.' || leaf) IS NULL THEN
            -- The bounds as a constraint too: with it the partition can be detached and attached again without being read.
            EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE,
                CONSTRAINT events_month CHECK (recorded_at >= %L AND recorded_at < %L))', leaf, month, month + interval '1 month');
            PERFORM ledger.protect(('ledger.' || leaf)::regclass);
            EXECUTE format('ALTER TABLE ledger.events ATTACH PARTITION ledger.%I FOR VALUES FROM (%L) TO (%L)',
                leaf, month, month + interval '1 month');
            made := made + 1;
        END IF;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END $function$;
CREATE OR REPLACE FUNCTION ledger.date_of(text)
 RETURNS date
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN CASE WHEN (($1 ~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$'::text) AND ("left"($1, 4) <> '0000'::text)) THEN CASE WHEN ((("right"($1, 2))::integer)::numeric <= EXTRACT(day FROM ((make_date(("left"($1, 4))::integer, (substr($1, 6, 2))::integer, 1))::timestamp without time zone + '1 mon -1 days'::interval))) THEN make_date(("left"($1, 4))::integer, (substr($1, 6, 2))::integer, ("right"($1, 2))::integer) ELSE NULL::date END ELSE NULL::date END;
CREATE OR REPLACE FUNCTION ledger.declare(what text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    PERFORM pg_advisory_xact_lock(17484, 12); -- one declaration at a time: they become visible in the order of n
    INSERT INTO ledger.declarations (n, what)
    SELECT COALESCE(max(d.n), 0) + 1, declare.what
    FROM ledger.declarations d;
END $function$;
CREATE OR REPLACE FUNCTION ledger.declare_column(name text, kind text, type text, description text, owner text, pii boolean, describes text, declared_by text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '3s'
AS $function$
#variable_conflict use_column
DECLARE
    column_name ALIAS FOR $1;
    column_kind ALIAS FOR $2;
    column_type ALIAS FOR $3;
    private     ALIAS FOR $6;
    of_events   regclass;
    drawn       bigint;
BEGIN
    IF num_nulls($1, $2, $3, $4, $5, $6, $7, $8) > 0 THEN -- a comparison with null forbids nothing, and the type goes into a statement
        RAISE EXCEPTION 'a declaration of a column leaves nothing out' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM pg_advisory_xact_lock(17484, 6); -- one change of the shape of the events at a time, new partitions included
    IF EXISTS (SELECT FROM ledger.columns c WHERE c.name = column_name) THEN
        RETURN false;
    END IF;
    PERFORM ledger.declare('column ' || column_name);
    IF column_name !~ '^[a-z][a-z0-9_]{0,58}$'
        OR EXISTS (SELECT FROM pg_get_keywords() k WHERE k.word = column_name AND k.catcode IN ('R', 'T'))
        OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = 'ledger.events'::regclass AND a.attname = column_name) THEN
        RAISE EXCEPTION 'no column can be called %', column_name USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF column_kind NOT IN ('dimension', 'money', 'quantity')
        OR column_kind = 'dimension' AND column_type NOT IN ('text', 'bigint', 'boolean', 'date', 'uuid')
        OR column_kind <> 'dimension' AND (column_type <> 'numeric' OR private OR $7 <> 'event')
        OR private AND $7 <> 'event' THEN
        RAISE EXCEPTION 'there is no % of the type % that is private: % and describes: %', column_kind, column_type, private, $7
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT private THEN
        -- Stops no reader and no writer, but has autovacuum give way, which it does only for who waits a second.
        LOCK TABLE ledger.events IN SHARE UPDATE EXCLUSIVE MODE;
        PERFORM set_config('lock_timeout', '50ms', true);
        -- Waits for the transactions under way; those that come after wait for us. Then nothing else is waited for.
        LOCK TABLE ledger.events IN ACCESS EXCLUSIVE MODE;
        LOCK TABLE archive.events IN ACCESS EXCLUSIVE MODE; -- of months that were detached
        -- Without a default, and with a check that isn't tried on the rows there are: none is read or written.
        FOREACH of_events IN ARRAY ARRAY['ledger.events'::regclass, 'archive.events'::regclass] LOOP
            EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s %s', of_events, column_name, column_type,
                CASE WHEN column_type = 'text' THEN 'COLLATE "C"' END);
            IF column_type = 'numeric' THEN
                EXECUTE format('ALTER TABLE %2$s ADD CONSTRAINT %3$I CHECK (%1$I > -1e38 AND %1$I < 1e38) NOT VALID', column_name, of_events, 'is_' || column_name);
            END IF;
        END LOOP;
    END IF;
    SELECT d.positions[1] INTO drawn FROM ledger.draw(1) d;
    INSERT INTO ledger.columns (name, kind, type, description, owner, pii, describes, position, declared_by)
    VALUES (column_name, column_kind, column_type, $4, $5, private, $7, drawn, $8);
    IF NOT private THEN
        PERFORM ledger.show_columns();
    END IF;
    RETURN true;
END $function$;
CREATE OR REPLACE FUNCTION ledger.declare_index(name text, declared_by text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '3s'
AS $function$
#variable_conflict use_column
DECLARE
    column_name ALIAS FOR $1;
BEGIN
    PERFORM pg_advisory_xact_lock(17484, 6); -- as in declare_column
    IF EXISTS (SELECT FROM ledger.column_indexes c WHERE c.name = column_name) THEN
        RETURN false;
    END IF;
    IF NOT EXISTS (SELECT FROM ledger.columns c WHERE c.name = column_name AND c.kind = 'dimension' AND NOT c.built_in AND NOT c.pii) THEN
        RAISE EXCEPTION 'there is no declared dimension % that an index could be for', column_name USING ERRCODE = 'invalid_parameter_value';
    END IF;
    LOCK TABLE ONLY ledger.events IN SHARE UPDATE EXCLUSIVE MODE; -- as in declare_column
    PERFORM set_config('lock_timeout', '50ms', true);
    EXECUTE format('CREATE INDEX ON ONLY ledger.events (%1$I) WHERE %1$I IS NOT NULL', column_name);
    INSERT INTO ledger.column_indexes (name, declared_by) VALUES (column_name, $2);
    RETURN true;
END $function$;
CREATE OR REPLACE FUNCTION ledger.detach_month(month date, moved_by text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '3s'
 SET "TimeZone" TO 'UTC'
AS $function$
DECLARE
    leaf  text := 'events_' || to_char($1, 'YYYY_MM');
    copy  ledger.archives;
    first bigint;
    last  bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(17484, 6); -- one change of the shape of the events at a time, as in declare_column
    IF $1 <> date_trunc('month', $1) THEN
        RAISE EXCEPTION '% is not the first day of a month', $1 USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF to_regclass('archive.' || leaf) IS NOT NULL THEN
        RETURN false;
    END IF;
    IF to_regclass('ledger.' || leaf) IS NULL THEN
        RAISE EXCEPTION 'there is no partition for %', to_char($1, 'YYYY-MM') USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF $1 + interval '2 months' > date_trunc('month', clock_timestamp()) THEN
        RAISE EXCEPTION 'the partition of % is still in use: this month and the one before are never detached', to_char($1, 'YYYY-MM')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT * INTO copy FROM ledger.archives a WHERE a.month = $1 ORDER BY a.n DESC LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no copy of % is recorded: archive it first', to_char($1, 'YYYY-MM') USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('SELECT min(position), max(position) FROM ledger.%I', leaf) INTO first, last;
    IF (first, last) IS DISTINCT FROM (copy.first_position, copy.last_position)
        OR last > (SELECT max(s.last_position) FROM ledger.seals s) THEN
        RAISE EXCEPTION 'the partition of % has the positions % to %, its copy those of % to %, and all of them must be sealed',
            to_char($1, 'YYYY-MM'), first, last, copy.first_position, copy.last_position USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = ('ledger.' || leaf)::regclass AND c.conname = 'events_month' AND c.convalidated) THEN
        RAISE EXCEPTION 'the partition of % has no constraint events_month that bounds recorded_at: moving it would read all of it while everybody waits',
            to_char($1, 'YYYY-MM') USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Stops no reader and no writer, but has autovacuum give way, which it does only for who waits a second.
    LOCK TABLE ONLY ledger.events IN SHARE UPDATE EXCLUSIVE MODE;
    PERFORM set_config('lock_timeout', '50ms', true);
    -- Waits for the transactions under way; those that come after wait for us. Always in this order: events, then archive.
    LOCK TABLE ONLY ledger.events IN ACCESS EXCLUSIVE MODE;
    LOCK TABLE ONLY archive.events IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('ALTER TABLE ledger.events DETACH PARTITION ledger.%I', leaf);
    EXECUTE format('ALTER TABLE ledger.%I SET SCHEMA archive', leaf);
    EXECUTE format('REVOKE INSERT ON archive.%I FROM deltaledger_app', leaf);
    EXECUTE format('ALTER TABLE archive.events ATTACH PARTITION archive.%I FOR VALUES FROM (%L) TO (%L)',
        leaf, $1::timestamptz, $1 + interval '1 month');
    INSERT INTO ledger.detachments (month, detached, archive, moved_by) VALUES ($1, true, copy.n, $2);
    RETURN true;
END $function$;
CREATE OR REPLACE FUNCTION ledger.draw(n integer, OUT positions bigint[], OUT recorded_at timestamp with time zone, OUT declared bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    IF n NOT BETWEEN 0 AND 10000000 THEN
        RAISE EXCEPTION '0 to 10,000,000 positions can be drawn at once, not %', n USING ERRCODE = 'program_limit_exceeded';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(17484, 1); -- held until our commit is done: what a watermark taker waits for
    -- Under the lock: a watermark taken after a declaration has waited for all who draw without knowing it. Before the
    -- positions: whoever knows a declaration has none that is below the declaration's own.
    declared := COALESCE((SELECT max(d.n) FROM ledger.declarations d), 0);
    SELECT array_agg(nextval('ledger.position_seq')) INTO positions FROM generate_series(1, n);
    recorded_at := greatest(clock_timestamp(),
        'epoch'::timestamptz + pg_sequence_last_value('ledger.taken_seq') * interval '1 microsecond');
END $function$;
CREATE OR REPLACE FUNCTION ledger.end_erasure(which bigint, OUT events bigint, OUT conflicts bigint, OUT dead_letters bigint, OUT ended_at timestamp with time zone)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    drawn bigint;
BEGIN
    PERFORM ledger.open_erasure(which);
    SELECT count(*) INTO events FROM ledger.erased e WHERE e.erasure = which;
    SELECT count(*) INTO conflicts FROM ledger.erased_conflicts e WHERE e.erasure = which;
    SELECT count(*) INTO dead_letters FROM ledger.erased_dead_letters e WHERE e.erasure = which;
    SELECT d.positions[1], d.recorded_at INTO drawn, ended_at FROM ledger.draw(1) d;
    INSERT INTO ledger.erasure_ends (erasure, events, conflicts, dead_letters, position, ended_at)
    VALUES (which, events, conflicts, dead_letters, drawn, ended_at);
END $function$;
CREATE OR REPLACE FUNCTION ledger.erase_conflicts(which bigint, after_n bigint, most integer, OUT looked bigint, OUT gone bigint, OUT last_n bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    s     ledger.erasures := ledger.open_erasure(which);
    zone  text;
    found bigint[];
BEGIN
    SELECT x.reporting_zone INTO zone FROM ledger.settings x;
    SELECT count(*), max(w.n), array_agg(w.n) FILTER (WHERE CASE s.scope
            WHEN 'account' THEN w.content::jsonb ->> 'account' = s.account OR e.account = s.account
            WHEN 'event' THEN true
            ELSE ((w.content::jsonb ->> 'occurred_at')::timestamptz AT TIME ZONE zone)::date < s.before AND (s.source IS NULL OR w.source = s.source)
        END)
    INTO looked, last_n, found
    FROM (
        SELECT c.n, c.source, c.content, c.existing_position, c.existing_recorded_at
        FROM ledger.conflicts c
        WHERE c.n > after_n AND (s.scope <> 'event' OR c.event_key = ledger.event_key(s.source, s.event_id))
        ORDER BY c.n
        LIMIT most) w
    LEFT JOIN LATERAL (
        SELECT x.account
        FROM ledger.every_event x
        WHERE x.position = w.existing_position AND x.recorded_at = w.existing_recorded_at
        LIMIT 1) e ON true;
    INSERT INTO ledger.erased_conflicts (conflict, erasure, pii, payload)
    SELECT p.conflict, which, (SELECT array_agg(k ORDER BY k COLLATE "C") FROM jsonb_object_keys(p.pii) k), p.payload IS NOT NULL
    FROM ledger.conflict_private p
    WHERE p.conflict = ANY (found) AND (p.payload IS NOT NULL OR p.pii IS NOT NULL)
    ON CONFLICT (conflict) DO NOTHING; -- as with events
    WITH deleted AS (
        DELETE FROM ledger.conflict_private p USING ledger.erased_conflicts e
        WHERE e.conflict = p.conflict AND p.conflict = ANY (found)
        RETURNING p.conflict)
    SELECT count(*) INTO gone FROM deleted;
END $function$;
CREATE OR REPLACE FUNCTION ledger.erase_dead_letters(which bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    s    ledger.erasures := ledger.open_erasure(which);
    gone bigint;
BEGIN
    INSERT INTO ledger.erased_dead_letters (letter, erasure)
    SELECT l.n, which
    FROM ledger.letters_to_erase(s.account, s.source, s.event_id, s.before, s.letter) AS l (n)
    ON CONFLICT (letter) DO NOTHING; -- as with events
    WITH deleted AS (
        DELETE FROM ledger.dead_letter_content c USING ledger.erased_dead_letters e
        WHERE e.letter = c.letter AND e.erasure = which
        RETURNING c.letter)
    SELECT count(*) INTO gone FROM deleted;
    RETURN gone;
END $function$;
CREATE OR REPLACE FUNCTION ledger.erase_events(which bigint, after_time timestamp with time zone, after_position bigint, most integer, OUT looked bigint, OUT gone bigint, OUT last_time timestamp with time zone, OUT last_position bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$
DECLARE
    s     ledger.erasures := ledger.open_erasure(which);
    found bigint[];
BEGIN
    IF s.scope = 'account' THEN
        SELECT count(*), array_agg(w.position), (array_agg(w.occurred_at ORDER BY w.occurred_at DESC, w.position DESC))[1],
               (array_agg(w.position ORDER BY w.occurred_at DESC, w.position DESC))[1]
        INTO looked, found, last_time, last_position
        FROM (
            SELECT e.position, e.occurred_at
            FROM ledger.every_event e
            WHERE e.account = s.account AND e.occurred_at >= after_time AND (e.occurred_at > after_time OR e.position > after_position)
            ORDER BY e.occurred_at, e.position
            LIMIT most) w;
    ELSIF s.scope = 'event' THEN
        SELECT count(*), array_agg(k.position), max(k.recorded_at), max(k.position)
        INTO looked, found, last_time, last_position
        FROM ledger.event_keys k
        WHERE k.event_key = ledger.event_key(s.source, s.event_id) AND k.position > after_position;
    ELSE
        SELECT count(*), array_agg(w.position) FILTER (WHERE e.business_date < s.before AND (s.source IS NULL OR e.source = s.source)),
               max(w.recorded_at), max(w.position)
        INTO looked, found, last_time, last_position
        FROM (
            SELECT p.position, p.recorded_at
            FROM ledger.private p
            WHERE p.position > after_position
            ORDER BY p.position
            LIMIT most) w
        -- With its LIMIT it can't become a scan of all events, once for each part.
        LEFT JOIN LATERAL (
            SELECT x.business_date, x.source
            FROM ledger.every_event x
            WHERE x.position = w.position AND x.recorded_at = w.recorded_at
            LIMIT 1) e ON true;
    END IF;
    INSERT INTO ledger.erased (position, recorded_at, erasure, pii, payload)
    SELECT p.position, p.recorded_at, which, (SELECT array_agg(k ORDER BY k COLLATE "C") FROM jsonb_object_keys(p.pii) k), p.payload IS NOT NULL
    FROM ledger.private p
    WHERE p.position = ANY (found)
    ON CONFLICT (position) DO NOTHING; -- somebody put back what was erased: it goes under the first record
    WITH deleted AS (
        DELETE FROM ledger.private p USING ledger.erased e
        WHERE e.position = p.position AND p.position = ANY (found)
        RETURNING p.position)
    SELECT count(*) INTO gone FROM deleted;
END $function$;
CREATE OR REPLACE FUNCTION ledger.event_key(source text, event_id text)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
    SELECT encode(substring(sha256(
        int4send(octet_length(convert_to(source, 'UTF8'))) || convert_to(source, 'UTF8') ||
        int4send(octet_length(convert_to(event_id, 'UTF8'))) || convert_to(event_id, 'UTF8')) FROM 1 FOR 16), 'hex')::uuid
$function$;
CREATE OR REPLACE FUNCTION ledger.letters_to_erase(of_account text, of_source text, of_event text, before_date date, of_letter bigint)
 RETURNS SETOF bigint
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
    SELECT d.n
    FROM ledger.dead_letters d
    JOIN ledger.dead_letter_content c ON c.letter = d.n
    WHERE (of_letter IS NULL OR d.n = of_letter)
      AND (of_account IS NULL OR d.account = of_account
        OR d.account IS NULL AND (position(convert_to(of_account, 'UTF8') IN c.body) > 0 OR position(convert_to(of_account, 'UTF8') IN c.key) > 0)
        OR EXISTS (SELECT FROM ledger.dead_letter_events e WHERE e.letter = d.n AND e.account = of_account))
      AND (of_source IS NULL OR d.source = of_source
        OR EXISTS (SELECT FROM ledger.dead_letter_events e WHERE e.letter = d.n AND e.source = of_source))
      AND (of_event IS NULL OR d.source = of_source AND d.event_id = of_event
        OR EXISTS (SELECT FROM ledger.dead_letter_events e WHERE e.letter = d.n AND e.source = of_source AND e.event_id = of_event))
      AND (before_date IS NULL
        OR (COALESCE(d.occurred_at, d.sent_at, d.first_seen) AT TIME ZONE (SELECT s.reporting_zone FROM ledger.settings s))::date < before_date)
$function$;
CREATE OR REPLACE FUNCTION ledger.open_erasure(which bigint)
 RETURNS ledger.erasures
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    s ledger.erasures;
BEGIN
    PERFORM pg_advisory_xact_lock(17484, 16); -- until the transaction ends: erasers take turns by batches
    SELECT * INTO s FROM ledger.erasures e WHERE e.n = which;
    IF NOT FOUND OR EXISTS (SELECT FROM ledger.erasure_ends e WHERE e.erasure = which) THEN
        RAISE EXCEPTION 'there is no erasure % that is under way', which USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN s;
END $function$;
CREATE OR REPLACE FUNCTION ledger.protect(fact regclass)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    PERFORM ledger.protect_from_change(fact);
    EXECUTE format('GRANT SELECT, INSERT ON %s TO deltaledger_app', fact);
END $function$;
CREATE OR REPLACE FUNCTION ledger.protect_from_change(fact regclass, prefix text DEFAULT 'refuse'::text)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change()', prefix || '_row', fact);
    EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', prefix || '_statement', fact);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', fact, prefix || '_row');
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', fact, prefix || '_statement');
END $function$;
CREATE OR REPLACE FUNCTION ledger.refuse_change()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    RAISE EXCEPTION '% on %.% is refused: a recorded fact never changes', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              HINT = 'Record a further fact instead: an adjustment, a void, a credit note or a resolution.';
END $function$;
CREATE OR REPLACE FUNCTION ledger.refuse_unerased()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'private' THEN
        IF EXISTS (SELECT FROM ledger.erased e WHERE e.position = OLD.position) THEN
            RETURN OLD;
        END IF;
    ELSIF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'conflict_private' THEN
        IF EXISTS (SELECT FROM ledger.erased_conflicts e WHERE e.conflict = OLD.conflict) THEN
            RETURN OLD;
        END IF;
    ELSIF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'dead_letter_content' THEN
        IF EXISTS (SELECT FROM ledger.erased_dead_letters e WHERE e.letter = OLD.letter) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION '% on %.% is refused: private content goes by an erasure, with a record of who and why', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'Use the command erase.';
END $function$;
CREATE OR REPLACE FUNCTION ledger.show_columns()
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    whole text := ledger.show_every_event();
    shown text;
BEGIN
    SELECT string_agg(CASE
            WHEN c.kind <> 'dimension' THEN format(', e.%I', c.name)
            WHEN c.type = 'text' THEN format(', COALESCE(e.%1$I, e.dimensions ->> %1$L) COLLATE "C" AS %1$I', c.name)
            ELSE format(', COALESCE(e.%1$I, ledger.%2$I(e.dimensions ->> %1$L)) AS %1$I', c.name, c.type || '_of')
        END, '' ORDER BY c.position)
    INTO shown
    FROM ledger.columns c
    WHERE NOT c.built_in AND NOT c.pii;
    EXECUTE 'CREATE OR REPLACE VIEW ledger.events_v2 AS
        SELECT e.position, e.recorded_at, e.occurred_at, e.business_date, e.source, e.event_id, e.stream, e.seqn, e.type, e.kind,
               e.account, e.currency, e.amount, e.quantity, e.dimensions, e.corrects, e.reason, e.reference, e.maker, e.caused_by'
        || COALESCE(shown, '') || ' FROM (' || whole || ') e';
END $function$;
CREATE OR REPLACE FUNCTION ledger.show_every_event()
 RETURNS text
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
DECLARE
    whole text;
BEGIN
    SELECT format('SELECT %1$s FROM ledger.events UNION ALL SELECT %1$s FROM archive.events', string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum))
    INTO whole
    FROM pg_attribute a
    WHERE a.attrelid = 'ledger.events'::regclass AND a.attnum > 0 AND NOT a.attisdropped;
    EXECUTE 'CREATE OR REPLACE VIEW ledger.every_event WITH (security_invoker = true) AS ' || whole;
    RETURN whole;
END $function$;
CREATE OR REPLACE FUNCTION ledger.summarize_keys()
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '50ms'
AS $function$
BEGIN
    RETURN brin_summarize_new_values('ledger.event_keys_by_position'::regclass);
EXCEPTION WHEN lock_not_available THEN
    RETURN 0;
END $function$;
CREATE OR REPLACE FUNCTION ledger.uuid_of(text)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN CASE WHEN ($1 ~ '^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$'::text) THEN ($1)::uuid ELSE NULL::uuid END;

-- Sequences

SEQUENCE billing.close_runs_n_seq AS bigint INCREMENT 1 CACHE 1;
SEQUENCE billing.terms_n_seq AS bigint INCREMENT 1 CACHE 1;
SEQUENCE export.exports_n_seq AS bigint INCREMENT 1 CACHE 1;
SEQUENCE ledger.archives_n_seq AS bigint INCREMENT 1 CACHE 1;
SEQUENCE ledger.completeness_filled_n_seq AS bigint INCREMENT 1 CACHE 1;
SEQUENCE ledger.conflict_private_conflict_seq AS bigint INCREMENT 1 CACHE 1;
SEQUENCE ledger.dead_letters_n_seq AS bigint INCREMENT 1 CACHE 1;
SEQUENCE ledger.detachments_n_seq AS bigint INCREMENT 1 CACHE 1;
SEQUENCE ledger.erasures_n_seq AS bigint INCREMENT 1 CACHE 1;
SEQUENCE ledger.import_decisions_n_seq AS bigint INCREMENT 1 CACHE 1;
SEQUENCE ledger.import_files_n_seq AS bigint INCREMENT 1 CACHE 1;
SEQUENCE ledger.migrations_id_seq AS integer INCREMENT 1 CACHE 1;
SEQUENCE ledger.position_seq AS bigint INCREMENT 1 CACHE 1;
SEQUENCE ledger.sources_n_seq AS bigint INCREMENT 1 CACHE 1;
SEQUENCE ledger.taken_seq AS bigint INCREMENT 1 CACHE 1;
SEQUENCE ledger.types_n_seq AS bigint INCREMENT 1 CACHE 1;
SEQUENCE ledger.watermarks_n_seq AS bigint INCREMENT 1 CACHE 1;
SEQUENCE reconcile.resolutions_n_seq AS bigint INCREMENT 1 CACHE 1;

-- Grants

GRANT USAGE ON SCHEMA archive TO deltaledger_app;
GRANT USAGE ON SCHEMA auth TO deltaledger_app;
GRANT USAGE ON SCHEMA billing TO deltaledger_app;
GRANT USAGE ON SCHEMA billing TO deltaledger_reader;
GRANT USAGE ON SCHEMA export TO deltaledger_app;
GRANT USAGE ON SCHEMA ledger TO deltaledger_app;
GRANT USAGE ON SCHEMA ledger TO deltaledger_private;
GRANT USAGE ON SCHEMA ledger TO deltaledger_reader;
GRANT USAGE ON SCHEMA reconcile TO deltaledger_app;
GRANT SELECT ON archive.events TO deltaledger_app;
GRANT INSERT, SELECT, UPDATE ON billing.accounts TO deltaledger_app;
GRANT INSERT, SELECT ON billing.adjustment_decisions TO deltaledger_app;
GRANT SELECT ON billing.adjustment_states TO deltaledger_app;
GRANT INSERT, SELECT ON billing.adjustments TO deltaledger_app;
GRANT INSERT, SELECT ON billing.approvals TO deltaledger_app;
GRANT DELETE, INSERT, SELECT, UPDATE ON billing.carried TO deltaledger_app;
GRANT INSERT, SELECT ON billing.close_failures TO deltaledger_app;
GRANT INSERT, SELECT ON billing.close_run_ends TO deltaledger_app;
GRANT INSERT, SELECT ON billing.close_runs TO deltaledger_app;
GRANT INSERT, SELECT ON billing.closes TO deltaledger_app;
GRANT INSERT, SELECT ON billing.contract_uses TO deltaledger_app;
GRANT INSERT, SELECT ON billing.credit_note_lines TO deltaledger_app;
GRANT SELECT ON billing.credit_note_lines_v1 TO deltaledger_app;
GRANT SELECT ON billing.credit_note_lines_v1 TO deltaledger_reader;
GRANT INSERT, SELECT ON billing.credit_note_numbers TO deltaledger_app;
GRANT INSERT, SELECT ON billing.credit_notes TO deltaledger_app;
GRANT SELECT ON billing.credit_notes_v1 TO deltaledger_app;
GRANT SELECT ON billing.credit_notes_v1 TO deltaledger_reader;
GRANT INSERT, SELECT ON billing.cycles TO deltaledger_app;
GRANT INSERT, SELECT ON billing.default_rerating_ends TO deltaledger_app;
GRANT INSERT, SELECT ON billing.default_reratings TO deltaledger_app;
GRANT INSERT, SELECT ON billing.finalisations TO deltaledger_app;
GRANT INSERT, SELECT, UPDATE ON billing.finalising_types TO deltaledger_app;
GRANT INSERT, SELECT ON billing.invoice_ids TO deltaledger_app;
GRANT INSERT, SELECT ON billing.invoice_lines TO deltaledger_app;
GRANT SELECT ON billing.invoice_lines_v1 TO deltaledger_app;
GRANT SELECT ON billing.invoice_lines_v1 TO deltaledger_reader;
GRANT INSERT, SELECT ON billing.invoice_numbers TO deltaledger_app;
GRANT SELECT ON billing.invoice_states TO deltaledger_app;
GRANT INSERT, SELECT ON billing.invoices TO deltaledger_app;
GRANT SELECT ON billing.invoices_v1 TO deltaledger_app;
GRANT SELECT ON billing.invoices_v1 TO deltaledger_reader;
GRANT INSERT, SELECT ON billing.late_events TO deltaledger_app;
GRANT INSERT, SELECT ON billing.number_formats TO deltaledger_app;
GRANT DELETE, INSERT, SELECT ON billing.open_adjustments TO deltaledger_app;
GRANT INSERT, SELECT ON billing.orders TO deltaledger_app;
GRANT SELECT ON billing.parked TO deltaledger_app;
GRANT INSERT, SELECT ON billing.parkings TO deltaledger_app;
GRANT INSERT, SELECT ON billing.payments TO deltaledger_app;
GRANT SELECT ON billing.payments_v1 TO deltaledger_app;
GRANT SELECT ON billing.payments_v1 TO deltaledger_reader;
GRANT INSERT, SELECT ON billing.pins TO deltaledger_app;
GRANT SELECT ON billing.pins_v1 TO deltaledger_app;
GRANT SELECT ON billing.pins_v1 TO deltaledger_reader;
GRANT INSERT, SELECT, UPDATE ON billing.progress TO deltaledger_app;
GRANT INSERT, SELECT ON billing.releases TO deltaledger_app;
GRANT INSERT, SELECT ON billing.rerated TO deltaledger_app;
GRANT INSERT, SELECT ON billing.rerating_exceptions TO deltaledger_app;
GRANT INSERT, SELECT ON billing.reratings TO deltaledger_app;
GRANT INSERT, SELECT ON billing.reviews TO deltaledger_app;
GRANT INSERT, SELECT ON billing.statuses TO deltaledger_app;
GRANT INSERT, SELECT ON billing.terms TO deltaledger_app;
GRANT INSERT, SELECT ON billing.voids TO deltaledger_app;
GRANT INSERT, SELECT ON export.exports TO deltaledger_app;
GRANT INSERT, SELECT ON export.freezes TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.archives TO deltaledger_app;
GRANT EXECUTE ON ledger.attach_month(date,text) TO deltaledger_app;
GRANT EXECUTE ON ledger.begin_watermark() TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.column_floors TO deltaledger_app;
GRANT SELECT ON ledger.column_indexes TO deltaledger_app;
GRANT SELECT ON ledger.columns TO deltaledger_app;
GRANT DELETE, INSERT, SELECT ON ledger.completeness_doubled TO deltaledger_app;
GRANT DELETE, INSERT, SELECT ON ledger.completeness_filled TO deltaledger_app;
GRANT DELETE, INSERT, SELECT, UPDATE ON ledger.completeness_gaps TO deltaledger_app;
GRANT DELETE, INSERT, SELECT, UPDATE ON ledger.completeness_progress TO deltaledger_app;
GRANT DELETE, INSERT, SELECT, UPDATE ON ledger.completeness_sources TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.conflict_decisions TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.conflict_private TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.conflicts TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.content_flags TO deltaledger_app;
GRANT EXECUTE ON ledger.create_partitions(integer) TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.dead_letter_content TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.dead_letter_decisions TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.dead_letter_events TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.dead_letters TO deltaledger_app;
GRANT SELECT ON ledger.declarations TO deltaledger_app;
GRANT EXECUTE ON ledger.declare(text) TO deltaledger_app;
GRANT EXECUTE ON ledger.declare_column(text,text,text,text,text,boolean,text,text) TO deltaledger_app;
GRANT EXECUTE ON ledger.declare_index(text,text) TO deltaledger_app;
GRANT EXECUTE ON ledger.detach_month(date,text) TO deltaledger_app;
GRANT SELECT ON ledger.detached_months TO deltaledger_app;
GRANT SELECT ON ledger.detached_months TO deltaledger_reader;
GRANT SELECT ON ledger.detachments TO deltaledger_app;
GRANT EXECUTE ON ledger.draw(integer) TO deltaledger_app;
GRANT EXECUTE ON ledger.end_erasure(bigint) TO deltaledger_app;
GRANT EXECUTE ON ledger.erase_conflicts(bigint,bigint,integer) TO deltaledger_app;
GRANT EXECUTE ON ledger.erase_dead_letters(bigint) TO deltaledger_app;
GRANT EXECUTE ON ledger.erase_events(bigint,timestamp with time zone,bigint,integer) TO deltaledger_app;
GRANT SELECT ON ledger.erased TO deltaledger_app;
GRANT SELECT ON ledger.erased TO deltaledger_private;
GRANT SELECT ON ledger.erased_conflicts TO deltaledger_app;
GRANT SELECT ON ledger.erased_dead_letters TO deltaledger_app;
GRANT SELECT ON ledger.erasure_ends TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.erasures TO deltaledger_app;
GRANT SELECT ON ledger.erasures TO deltaledger_private;
GRANT SELECT ON ledger.event_indexes TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.event_keys TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.events TO deltaledger_app;
GRANT SELECT ON ledger.events_v1 TO deltaledger_app;
GRANT SELECT ON ledger.events_v1 TO deltaledger_reader;
GRANT SELECT ON ledger.events_v2 TO deltaledger_app;
GRANT SELECT ON ledger.events_v2 TO deltaledger_reader;
GRANT SELECT ON ledger.every_event TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.import_decisions TO deltaledger_app;
GRANT INSERT, SELECT, UPDATE ON ledger.import_files TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.import_problems TO deltaledger_app;
GRANT EXECUTE ON ledger.letters_to_erase(text,text,text,date,bigint) TO deltaledger_app;
GRANT INSERT, SELECT, UPDATE ON ledger.offsets TO deltaledger_app;
GRANT SELECT ON ledger.position_seq TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.private TO deltaledger_app;
GRANT SELECT ON ledger.private TO deltaledger_private;
GRANT INSERT, SELECT, UPDATE ON ledger.publishers TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.seals TO deltaledger_app;
GRANT SELECT ON ledger.seals_v1 TO deltaledger_app;
GRANT SELECT ON ledger.seals_v1 TO deltaledger_reader;
GRANT SELECT ON ledger.settings TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.sources TO deltaledger_app;
GRANT EXECUTE ON ledger.summarize_keys() TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.types TO deltaledger_app;
GRANT INSERT, SELECT ON ledger.watermarks TO deltaledger_app;
GRANT INSERT, SELECT ON reconcile.balances TO deltaledger_app;
GRANT INSERT, SELECT ON reconcile.findings TO deltaledger_app;
GRANT INSERT, SELECT ON reconcile.resolutions TO deltaledger_app;
GRANT INSERT, SELECT ON reconcile.runs TO deltaledger_app;
GRANT INSERT, SELECT ON reconcile.sightings TO deltaledger_app;
