-- Log, ledger, claims, timers and answers: all that cannot be rebuilt, and the one function that writes it (0002).
-- Every key starts with the tenant. PostgreSQL >= 15, no extension.

create schema kernel;

-- Since xids start anew in another cluster, a restore raises the epoch; followers order by (epoch, xid, position).
create table kernel.cluster (
    only_row bool primary key default true check (only_row),
    epoch smallint not null default 1
);
insert into kernel.cluster default values;

-- The folded state of each stream: the snapshot, and the first read model, right the moment a command returns.
-- Not partitioned by kind: every cached plan would lock all partitions, which doubles the cost of a lone commit.
create table kernel.stream (
    tenant int not null,
    kind text collate "C" not null,
    id text collate "C" not null,
    version int not null,
    state jsonb not null,
    state_schema smallint not null default 1,
    owner text collate "C",
    opened_at timestamptz not null,
    primary key (tenant, kind, id)
) with (fillfactor = 70, toast_tuple_target = 8160); -- an order's state is 2 kB: compressing it costs more than it saves

-- An owner never changes, so that updates of the state stay heap-only.
create index stream_owner on kernel.stream (tenant, kind, owner, opened_at desc, id) where owner is not null;

-- The log. An event's id is made from (tenant, kind, stream, version): nothing to store, nothing to collide.
-- `change` lets a retry after a lost connection recognise its own work.
create table kernel.event (
    tenant int not null,
    kind text collate "C" not null,
    stream text collate "C" not null,
    version int not null,
    type text collate "C" not null,
    data jsonb not null,
    meta jsonb not null,
    change uuid not null,
    at timestamptz not null,
    epoch smallint not null,
    xid xid8 not null default pg_current_xact_id(),
    position bigint generated always as identity,
    primary key (tenant, kind, stream, version)
) with (toast_tuple_target = 8160);

-- What followers read by; it only grows at its end, so it stays dense.
create unique index event_order on kernel.event (epoch, xid, position);

-- Accounts with a floor. `balance` is what may still be taken; what is owned is balance + held.
create table kernel.account (
    tenant int not null,
    id text collate "C" not null,
    unit text collate "C" not null,
    floor bigint not null default 0,
    balance bigint not null default 0,
    held bigint not null default 0 check (held >= 0),
    primary key (tenant, id, unit),
    check (balance >= floor)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- The journal: one row is one posting between two accounts, so it balances by construction. What remains of a hold is
-- its one column that changes. `position` is that of the event that booked it.
create table kernel.transfer (
    tenant int not null,
    id uuid not null,
    position bigint not null,
    phase smallint not null check (phase between 1 and 4), -- hold, settle, release, move
    debit text collate "C" not null,
    credit text collate "C" not null,
    unit text collate "C" not null,
    amount bigint not null check (amount > 0),
    hold uuid,
    remaining bigint check (remaining between 0 and amount),
    primary key (tenant, id),
    check ((phase = 1) = (remaining is not null) and (phase in (2, 3)) = (hold is not null))
) with (fillfactor = 85);

create index transfer_position on kernel.transfer using brin (position) with (pages_per_range = 16, autosummarize = on);

-- Deadlines of streams. A timer that keeps failing is parked with its reason and shown to people.
create table kernel.timer (
    tenant int not null,
    kind text collate "C" not null,
    stream text collate "C" not null,
    name text collate "C" not null,
    due_at timestamptz not null,
    command_type text collate "C" not null,
    command jsonb not null,
    attempts smallint not null default 0,
    failure text,
    parked bool not null default false,
    primary key (tenant, kind, stream, name)
);
create index timer_due on kernel.timer (due_at) where not parked;

-- What must be unique, and which stream has it. Nowhere else is uniqueness checked.
create table kernel.claim (
    tenant int not null,
    kind text collate "C" not null,
    key text collate "C" not null,
    owner_kind text collate "C" not null,
    owner text collate "C" not null,
    primary key (tenant, kind, key)
);

-- Idempotency: the first answer of a key, refusals included; kept 30 days.
create table kernel.answer (
    tenant int not null,
    principal text collate "C" not null,
    route text collate "C" not null,
    key text collate "C" not null,
    request_hash bytea not null,
    status smallint not null,
    body bytea not null,
    change uuid not null,
    at timestamptz not null,
    primary key (tenant, principal, route, key)
);
create index answer_at on kernel.answer using brin (at) with (autosummarize = on);

-- Followers: where each of them is, and what they could not digest.
create table kernel.cursor (
    follower text collate "C" primary key,
    epoch smallint not null default 0,
    xid xid8 not null default '0',
    position bigint not null default 0,
    at timestamptz,
    updated_at timestamptz not null default now()
);

create table kernel.parked (
    follower text collate "C" not null,
    tenant int not null,
    kind text collate "C" not null,
    stream text collate "C" not null,
    version int not null,
    epoch smallint not null,
    xid xid8 not null,
    position bigint not null,
    reason text not null,
    attempts int not null default 1,
    parked_at timestamptz not null default now(),
    primary key (follower, tenant, kind, stream, version)
);

-- Sums of accounts without a floor, rolled up in the background; and how far the roll-up is.
create table kernel.rollup (
    tenant int not null,
    id text collate "C" not null,
    unit text collate "C" not null,
    debits numeric not null default 0,
    credits numeric not null default 0,
    primary key (tenant, id, unit)
);

-- Seals: the Merkle root of each closed range of the log, chained to the one before (RFC 9162 tree hashes).
create table kernel.seal (
    no bigint primary key,
    epoch smallint not null,
    from_xid xid8 not null,
    from_position bigint not null,
    to_xid xid8 not null,
    to_position bigint not null,
    events bigint not null,
    root bytea not null,
    previous bytea not null,
    chain bytea not null,
    at timestamptz not null
);

-- How a view's table was made: a changed definition is rebuilt before it is relied on.
create table kernel.view_table (
    view text collate "C" primary key,
    definition text not null,
    built_at timestamptz not null default now()
);

create function kernel.refuse_rewriting() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only: % refused', tg_table_name, lower(tg_op)
        using hint = 'A correction is a new event.';
end $$;

create trigger append_only before update or delete or truncate on kernel.event
    for each statement execute function kernel.refuse_rewriting();
create trigger append_only before delete or truncate on kernel.transfer
    for each statement execute function kernel.refuse_rewriting();
create trigger append_only_columns
    before update of tenant, id, position, phase, debit, credit, unit, amount, hold on kernel.transfer
    for each statement execute function kernel.refuse_rewriting();
create trigger append_only before update or delete or truncate on kernel.seal
    for each statement execute function kernel.refuse_rewriting();

-- The second fence for reads: a connection sees the tenant that it was opened for ('*' is the kernel's own).
create function kernel.tenant_visible(tenant int) returns bool language sql stable parallel safe as $$
    select current_setting('pasar.tenant', true) in (tenant::text, '*')
$$;

do $$
declare
    name text;
begin
    foreach name in array array['stream', 'event', 'account', 'transfer', 'timer', 'claim', 'answer', 'parked', 'rollup'] loop
        execute format('alter table kernel.%I enable row level security', name);
        execute format(
            'create policy tenant_fence on kernel.%I for select using (kernel.tenant_visible(tenant))', name);
    end loop;
end $$;
create policy parked_rows on kernel.parked for all to pasar_app using (true) with check (true);
create policy rollup_rows on kernel.rollup for all to pasar_app using (true) with check (true);

grant usage on schema kernel to pasar_app, pasar_reader;
grant select on all tables in schema kernel to pasar_app, pasar_reader;
grant insert, update, delete on kernel.cursor, kernel.parked, kernel.rollup, kernel.view_table to pasar_app;
