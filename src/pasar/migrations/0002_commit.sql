-- The commit of a group of independent changes. One call is one transaction is one flush of the log, shared by the whole
-- group; yet each change is judged alone, in the order given: what an earlier change took is gone for a later one. Only
-- winners are written, set-wise.
--
-- In: parallel arrays, a family of columns per kind of row. c = change, a = append, e = event, t = transfer, m = timer,
--   q = claim, f = accounts with a floor, each once. c_appends, c_events, c_transfers and c_claims say how many rows of
--   the families belong to each change. a_expected 0 = a new stream. t_amount 0 = all that remains of the hold.
--   t_debit_no and t_credit_no point into f; its first row, '', stands for all accounts without a floor. m_due null =
--   clear. q_take false = give back.
-- Out: verdict 1 ok, 2 version conflict, 3 insufficient, 4 hold is over, 5 replay, 6 key reused for another request,
--   7 already committed (its acknowledgement got lost), 8 claimed by another; detail names the row that refused, pos is
--   the position of the change's last event (and xact its transaction: together what a reader waits for), status and
--   body the stored answer of a replay.
-- Locks, always in this order, each sorted by key: streams, holds, accounts, claims; then sorted inserts. What cannot be
-- locked because it does not exist yet is written `on conflict do nothing`: where a rival was faster, 40001 is raised and
-- the caller sends the group again, which then sees the rival. No subtransaction, no notify.
-- Callers connect with generic plans and index scans only: a plan made while a table is small would stay sequential.

create function kernel.commit_changes(
    c_tenant int[], c_id uuid[], c_at timestamptz[], c_appends int[], c_events int[], c_transfers int[], c_claims int[],
    c_principal text[], c_route text[], c_key text[], c_hash bytea[], c_status smallint[], c_body bytea[], c_meta jsonb[],
    a_change int[], a_kind text[], a_id text[], a_expected int[], a_count int[], a_state jsonb[], a_schema smallint[],
    a_owner text[],
    e_append int[], e_version int[], e_type text[], e_data jsonb[],
    t_change int[], t_event int[], t_id uuid[], t_phase smallint[], t_debit text[], t_credit text[], t_debit_no int[],
    t_credit_no int[], t_unit text[], t_amount bigint[], t_hold uuid[],
    m_change int[], m_kind text[], m_stream text[], m_name text[], m_due timestamptz[], m_type text[], m_command jsonb[],
    q_change int[], q_append int[], q_kind text[], q_key text[], q_take bool[],
    f_tenant int[], f_id text[], f_unit text[], f_floor bigint[],
    out verdict int[], out detail text[], out pos bigint[], out status smallint[], out body bytea[],
    out xact xid8)
language plpgsql security definer set search_path = kernel, pg_temp as $$
#variable_conflict use_column
declare
    n_changes constant int := cardinality(c_tenant);
    n_transfers constant int := cardinality(t_id);
    n_claims constant int := cardinality(q_kind);
    this_epoch smallint;
    -- Streams of the group, by slot.
    a_slot int[];
    version_now int[] := '{}';
    version_was int[];
    last_append int[];
    -- Holds that are settled or released, by slot.
    h_slot int[];
    h_tenant int[] := '{}';
    h_id uuid[] := '{}';
    remaining_now bigint[] := '{}';
    remaining_was bigint[];
    h_debit text[] := '{}';
    h_credit text[] := '{}';
    h_unit text[] := '{}';
    hold_debit int[] := '{}';
    hold_credit int[] := '{}';
    -- Accounts, by slot; ref maps rows of f, then debits, then credits of the holds to slots.
    ref int[] := '{}';
    b_tenant int[] := '{}';
    b_id text[] := '{}';
    b_unit text[] := '{}';
    floor_of bigint[] := '{}';
    balance_now bigint[] := '{}';
    balance_was bigint[];
    held_now bigint[] := '{}';
    held_was bigint[];
    b_known bool[] := '{}';
    -- Claims, by slot; the owner is kind and id of a stream, null = free.
    q_slot int[];
    owner_now text[] := '{}';
    owner_was text[];
    -- Keys: the first change that has it, and which of its twins won.
    k_first int[];
    k_won int[];
    -- As before the change that is being judged.
    undo_version int[];
    undo_balance bigint[];
    undo_held bigint[];
    undo_remaining bigint[];
    undo_owner text[];
    amount_real bigint[] := t_amount;
    event_no int[];
    positions bigint[];
    r record;
    a0 int;
    a1 int := 0;
    t0 int;
    t1 int := 0;
    q0 int;
    q1 int := 0;
    events int := 0;
    code int;
    what text;
    d int;
    k int;
    n bigint;
    p int;
    want int;
    got int;
begin
    verdict := array_fill(0, array[n_changes]);
    detail := array_fill(null::text, array[n_changes]);
    pos := array_fill(null::bigint, array[n_changes]);
    status := array_fill(null::smallint, array[n_changes]);
    body := array_fill(null::bytea, array[n_changes]);
    event_no := verdict;
    k_won := verdict;
    xact := pg_current_xact_id();
    select epoch into this_epoch from cluster;

    -- 1. Streams: a slot for each, in key order; lock those that exist. After a wait a locking read sees the newest.
    select array_agg(slot order by o), coalesce(max(slot), 0) into a_slot, k
      from (select o, dense_rank() over (order by id, kind, c_tenant[c])::int as slot
              from unnest(a_change, a_kind, a_id) with ordinality u (c, kind, id, o)) x;
    version_now := array_fill(0, array[k]);
    last_append := version_now;
    for r in
        select u.slot, s.version
          from (select min(o)::int as i, slot from unnest(a_slot) with ordinality x (slot, o) group by slot) u
          join stream s on s.tenant = c_tenant[a_change[u.i]] and s.kind = a_kind[u.i] and s.id = a_id[u.i]
         order by u.slot for no key update of s
    loop
        version_now[r.slot] := r.version;
    end loop;
    version_was := version_now;

    -- 2. Holds that are settled or released, and those of the same group that may be: lock, read what remains.
    if exists (select from unnest(t_hold) x where x is not null) then
        select array_agg(slot order by o), coalesce(max(slot), 0) into h_slot, k
          from (select o, dense_rank() over (order by id, tenant)::int as slot
                  from (select o, c_tenant[c] as tenant, coalesce(hold, id) as id
                          from unnest(t_change, t_id, t_hold) with ordinality u (c, id, hold, o)) y) x;
        remaining_now := array_fill(-1::bigint, array[k]);
        h_tenant := array_fill(0, array[k]);
        h_debit := array_fill(null::text, array[k]);
        h_credit := h_debit;
        h_unit := h_debit;
        h_id := array_fill(null::uuid, array[k]);
        hold_debit := array_fill(0, array[k]);
        hold_credit := hold_debit;
        for r in
            select u.slot, t.tenant, t.id, t.debit, t.credit, t.unit, t.remaining
              from (select min(o)::int as i, slot from unnest(h_slot, t_hold) with ordinality x (slot, hold, o)
                     where hold is not null group by slot) u
              join transfer t on t.tenant = c_tenant[t_change[u.i]] and t.id = t_hold[u.i]
             where t.phase = 1 order by u.slot for no key update of t
        loop
            remaining_now[r.slot] := r.remaining;
            h_tenant[r.slot] := r.tenant;
            h_id[r.slot] := r.id;
            h_debit[r.slot] := r.debit;
            h_credit[r.slot] := r.credit;
            h_unit[r.slot] := r.unit;
        end loop;
    end if;
    remaining_was := remaining_now;

    -- 3. Accounts: those of the transfers that have a floor, and those of the holds.
    if n_transfers > 0 then
        with refs as (
            select * from unnest(f_tenant, f_id, f_unit, f_floor) with ordinality u (tenant, id, unit, f, o)
            union all
            select tenant, coalesce(id, ''), coalesce(unit, ''), null, o + cardinality(f_id)
              from unnest(h_tenant || h_tenant, h_debit || h_credit, h_unit || h_unit)
                   with ordinality u (tenant, id, unit, o)),
        ranked as materialized (select *, dense_rank() over (order by id, tenant, unit)::int as slot from refs),
        slots as (select slot, tenant, id, unit, max(f) as f from ranked group by slot, tenant, id, unit)
        select (select array_agg(slot order by o) from ranked), array_agg(tenant order by slot),
               array_agg(id order by slot), array_agg(unit order by slot), array_agg(f order by slot)
          into ref, b_tenant, b_id, b_unit, floor_of from slots;
        balance_now := array_fill(0::bigint, array[cardinality(b_id)]);
        held_now := balance_now;
        b_known := array_fill(false, array[cardinality(b_id)]);
        for r in
            select u.slot, b.balance, b.held, b.floor
              from unnest(b_tenant, b_id, b_unit) with ordinality u (tenant, id, unit, slot)
              join account b on b.tenant = u.tenant and b.id = u.id and b.unit = u.unit
             where u.id <> '' order by u.slot for no key update of b
        loop
            balance_now[r.slot] := r.balance;
            held_now[r.slot] := r.held;
            floor_of[r.slot] := r.floor;
            b_known[r.slot] := true;
        end loop;
        for h in 1 .. cardinality(remaining_now) loop
            hold_debit[h] := ref[cardinality(f_id) + h];
            hold_credit[h] := ref[cardinality(f_id) + cardinality(remaining_now) + h];
        end loop;
    end if;
    balance_was := balance_now;
    held_was := held_now;

    -- 4. Claims: lock those that are taken.
    if n_claims > 0 then
        select array_agg(slot order by o), max(slot) into q_slot, k
          from (select o, dense_rank() over (order by key, kind, c_tenant[c])::int as slot
                  from unnest(q_change, q_kind, q_key) with ordinality u (c, kind, key, o)) x;
        owner_now := array_fill(null::text, array[k]);
        for r in
            select u.slot, q.owner_kind || '-' || q.owner as owner
              from (select min(o)::int as i, slot from unnest(q_slot) with ordinality x (slot, o) group by slot) u
              join claim q on q.tenant = c_tenant[q_change[u.i]] and q.kind = q_kind[u.i] and q.key = q_key[u.i]
             order by u.slot for no key update of q
        loop
            owner_now[r.slot] := r.owner;
        end loop;
    end if;
    owner_was := owner_now;

    -- 5. Keys. Read after the locks, so that what a rival committed while we waited is seen.
    select array_agg(case when key is null then 0 else f end order by o) into k_first
      from (select o, key, min(o) over (partition by tenant, principal, route, key)::int as f
              from unnest(c_tenant, c_principal, c_route, c_key) with ordinality u (tenant, principal, route, key, o)) x;
    for r in
        select u.o, w.request_hash = u.hash as same, w.status, w.body
          from unnest(c_tenant, c_principal, c_route, c_key, c_hash)
               with ordinality u (tenant, principal, route, key, hash, o)
          join answer w on w.tenant = u.tenant and w.principal = u.principal and w.route = u.route and w.key = u.key
    loop
        verdict[r.o] := case when r.same then 5 else 6 end;
        if r.same then
            status[r.o] := r.status;
            body[r.o] := r.body;
        end if;
    end loop;

    -- 6. Judge one after the other, in numbers only.
    for c in 1 .. n_changes loop
        a0 := a1 + 1;
        a1 := a1 + c_appends[c];
        t0 := t1 + 1;
        t1 := t1 + c_transfers[c];
        q0 := q1 + 1;
        q1 := q1 + c_claims[c];
        continue when verdict[c] > 0;
        k := k_first[c];
        if k > 0 and k_won[k] > 0 then -- a twin in the same group has won
            if c_hash[k_won[k]] = c_hash[c] then
                verdict[c] := 5;
                status[c] := c_status[k_won[k]];
                body[c] := c_body[k_won[k]];
            else
                verdict[c] := 6;
            end if;
            continue;
        end if;
        code := 1;
        undo_version := version_now;
        for i in a0 .. a1 loop
            d := a_slot[i];
            if version_now[d] <> a_expected[i] then
                code := 2;
                what := a_kind[i] || '-' || a_id[i];
                select max(e.position) into n from event e
                 where e.tenant = c_tenant[c] and e.kind = a_kind[i] and e.stream = a_id[i]
                   and e.version = a_expected[i] + a_count[i] and e.change = c_id[c];
                if n is not null then
                    code := 7;
                    pos[c] := n;
                end if;
                exit;
            end if;
            version_now[d] := version_now[d] + a_count[i];
        end loop;
        if code = 1 and q1 >= q0 then
            undo_owner := owner_now;
            for i in q0 .. q1 loop
                d := q_slot[i];
                what := a_kind[q_append[i]] || '-' || a_id[q_append[i]];
                if not q_take[i] then
                    if owner_now[d] = what then
                        owner_now[d] := null;
                    end if;
                elsif owner_now[d] is distinct from what then
                    if owner_now[d] is not null then
                        code := 8;
                        what := q_kind[i] || ':' || q_key[i];
                        exit;
                    end if;
                    owner_now[d] := what;
                end if;
            end loop;
            if code <> 1 then
                owner_now := undo_owner;
            end if;
        end if;
        if code = 1 and t1 >= t0 then
            undo_balance := balance_now;
            undo_held := held_now;
            undo_remaining := remaining_now;
            for i in t0 .. t1 loop
                n := t_amount[i];
                p := t_phase[i];
                if p = 1 or p = 4 then -- hold, move: the debit side must have it; a null floor never refuses
                    d := ref[t_debit_no[i]];
                    if balance_now[d] - n < floor_of[d] then
                        code := 3;
                        what := t_debit[i];
                        exit;
                    end if;
                    balance_now[d] := balance_now[d] - n;
                    if p = 4 then
                        k := ref[t_credit_no[i]];
                        balance_now[k] := balance_now[k] + n;
                    else
                        held_now[d] := held_now[d] + n;
                        if h_slot is not null then
                            k := h_slot[i];
                            remaining_now[k] := n;
                            hold_debit[k] := d;
                            hold_credit[k] := ref[t_credit_no[i]];
                            h_debit[k] := t_debit[i];
                            h_credit[k] := t_credit[i];
                            h_unit[k] := t_unit[i];
                        end if;
                    end if;
                else -- settle, release: the hold must have it
                    k := h_slot[i];
                    if n = 0 then
                        n := remaining_now[k];
                        amount_real[i] := n;
                    end if;
                    if n <= 0 or remaining_now[k] < n then
                        code := 4;
                        what := t_hold[i];
                        exit;
                    end if;
                    remaining_now[k] := remaining_now[k] - n;
                    d := hold_debit[k];
                    held_now[d] := held_now[d] - n;
                    if p = 2 then
                        d := hold_credit[k];
                    end if;
                    balance_now[d] := balance_now[d] + n;
                end if;
            end loop;
            if code <> 1 then
                balance_now := undo_balance;
                held_now := undo_held;
                remaining_now := undo_remaining;
                if q1 >= q0 then
                    owner_now := undo_owner;
                end if;
            end if;
        end if;
        verdict[c] := code;
        if code = 1 then
            for i in a0 .. a1 loop
                last_append[a_slot[i]] := i;
            end loop;
            if k_first[c] > 0 then
                k_won[k_first[c]] := c;
            end if;
            if c_events[c] > 0 then -- else it stores an answer or clears a timer, and has no place in the log
                events := events + c_events[c];
                event_no[c] := events;
            end if;
        else
            version_now := undo_version;
            detail[c] := what;
        end if;
    end loop;

    -- 7. Write the winners.
    insert into stream (tenant, kind, id, version, state, state_schema, owner, opened_at)
    select c_tenant[a_change[i]], a_kind[i], a_id[i], version_now[slot], a_state[i], a_schema[i], a_owner[i],
           c_at[a_change[i]]
      from unnest(last_append, version_was) with ordinality u (i, v0, slot)
     where i > 0 and v0 = 0 order by slot
        on conflict do nothing;
    get diagnostics got = row_count;
    select count(*) into want from unnest(last_append, version_was) u (i, v0) where i > 0 and v0 = 0;
    if got <> want then
        raise exception 'a rival made the stream first' using errcode = '40001';
    end if;
    if exists (select from unnest(last_append, version_was) u (i, v0) where i > 0 and v0 > 0) then
        update stream s set version = u.version, state = u.state, state_schema = u.state_schema
          from (select c_tenant[a_change[i]] as tenant, a_kind[i] as kind, a_id[i] as id, version_now[slot] as version,
                       a_state[i] as state, a_schema[i] as state_schema
                  from unnest(last_append, version_was) with ordinality x (i, v0, slot) where i > 0 and v0 > 0) u
         where s.tenant = u.tenant and s.kind = u.kind and s.id = u.id;
    end if;
    if events > 0 then
        with written as (
            insert into event (tenant, kind, stream, version, type, data, meta, change, at, epoch)
            select c_tenant[a_change[a]], a_kind[a], a_id[a], version, type, data, c_meta[a_change[a]], c_id[a_change[a]],
                   c_at[a_change[a]], this_epoch
              from unnest(e_append, e_version, e_type, e_data) with ordinality u (a, version, type, data, o)
             where verdict[a_change[a]] = 1 order by o
            returning position)
        select array_agg(position order by position) into positions from written;
        for c in 1 .. n_changes loop
            if event_no[c] > 0 then
                pos[c] := positions[event_no[c]];
            end if;
        end loop;
    end if;
    if n_transfers > 0 then
        -- t_event counts the events of the transfer's own change; the positions of winners follow each other.
        insert into transfer (tenant, id, position, phase, debit, credit, unit, amount, hold, remaining)
        select c_tenant[c], id, positions[event_no[c] - c_events[c] + event], phase,
               coalesce(h_debit[h_slot[o]], debit), coalesce(h_credit[h_slot[o]], credit),
               coalesce(h_unit[h_slot[o]], unit), amount_real[o], hold,
               case when phase = 1 then coalesce(remaining_now[h_slot[o]], amount_real[o]) end
          from unnest(t_change, t_event, t_id, t_phase, t_debit, t_credit, t_unit, t_hold)
               with ordinality u (c, event, id, phase, debit, credit, unit, hold, o)
         where verdict[c] = 1 order by id;
        if cardinality(h_id) > 0 then
            update transfer t set remaining = u.new
              from unnest(h_tenant, h_id, remaining_now, remaining_was) u (tenant, id, new, old)
             where t.tenant = u.tenant and t.id = u.id and u.new <> u.old;
        end if;
        update account b set balance = u.balance, held = u.held
          from unnest(b_tenant, b_id, b_unit, balance_now, held_now, balance_was, held_was)
               u (tenant, id, unit, balance, held, balance_was, held_was)
         where b.tenant = u.tenant and b.id = u.id and b.unit = u.unit
           and (u.balance, u.held) <> (u.balance_was, u.held_was);
        select count(*) into want from unnest(b_id, floor_of, b_known) u (id, f, known)
         where not known and id <> '' and f is not null;
        if want > 0 then -- a first booking opens the account, whichever side it is on
            with opened as (
                select slot from unnest(b_id, floor_of, b_known) with ordinality u (id, f, known, slot)
                 where not known and id <> '' and f is not null
                   and exists (select from unnest(t_change) with ordinality x (c, o)
                                where verdict[c] = 1 and slot in (ref[t_debit_no[o]], ref[t_credit_no[o]]))),
            written as (
                insert into account (tenant, id, unit, floor, balance, held)
                select b_tenant[slot], b_id[slot], b_unit[slot], floor_of[slot], balance_now[slot], held_now[slot]
                  from opened order by slot
                    on conflict do nothing
                returning 1)
            select (select count(*) from opened), (select count(*) from written) into want, got;
            if got <> want then
                raise exception 'a rival opened the account first' using errcode = '40001';
            end if;
        end if;
    end if;
    if n_claims > 0 then
        delete from claim q using (
            select distinct on (slot) c_tenant[q_change[o]] as tenant, q_kind[o] as kind, q_key[o] as key
              from unnest(q_slot) with ordinality x (slot, o)
             where owner_was[slot] is not null and owner_now[slot] is distinct from owner_was[slot]) u
         where q.tenant = u.tenant and q.kind = u.kind and q.key = u.key;
        with wanted as (
            select distinct on (slot) slot, c_tenant[q_change[o]] as tenant, q_kind[o] as kind, q_key[o] as key,
                   a_kind[q_append[o]] as owner_kind, a_id[q_append[o]] as owner
              from unnest(q_slot) with ordinality x (slot, o)
             where owner_now[slot] is distinct from owner_was[slot]
               and owner_now[slot] = a_kind[q_append[o]] || '-' || a_id[q_append[o]]
             order by slot),
        written as (
            insert into claim (tenant, kind, key, owner_kind, owner)
            select tenant, kind, key, owner_kind, owner from wanted order by slot
                on conflict do nothing
            returning 1)
        select (select count(*) from wanted), (select count(*) from written) into want, got;
        if got <> want then
            raise exception 'a rival took the claim first' using errcode = '40001';
        end if;
    end if;
    if cardinality(m_change) > 0 then -- of several settings of one timer the last one counts
        with last as (
            select distinct on (tenant, kind, stream, name) *
              from (select c_tenant[c] as tenant, kind, stream, name, due, type, command, o
                      from unnest(m_change, m_kind, m_stream, m_name, m_due, m_type, m_command)
                           with ordinality u (c, kind, stream, name, due, type, command, o)
                     where verdict[c] = 1) x
             order by tenant, kind, stream, name, o desc),
        gone as (
            delete from timer m using last u
             where m.tenant = u.tenant and m.kind = u.kind and m.stream = u.stream and m.name = u.name and u.due is null)
        insert into timer (tenant, kind, stream, name, due_at, command_type, command)
        select tenant, kind, stream, name, due, type, command from last
         where due is not null order by tenant, kind, stream, name
            on conflict (tenant, kind, stream, name) do update
           set due_at = excluded.due_at, command_type = excluded.command_type, command = excluded.command,
               attempts = 0, failure = null, parked = false;
    end if;
    insert into answer (tenant, principal, route, key, request_hash, status, body, change, at)
    select tenant, principal, route, key, hash, status, body, c_id[o], c_at[o]
      from unnest(c_tenant, c_principal, c_route, c_key, c_hash, c_status, c_body)
           with ordinality u (tenant, principal, route, key, hash, status, body, o)
     where key is not null and verdict[o] = 1 order by tenant, principal, route, key
        on conflict do nothing;
    get diagnostics got = row_count;
    select count(*) into want from unnest(k_won) x where x > 0;
    if got <> want then
        raise exception 'a twin in another process was faster' using errcode = '40001';
    end if;
end $$;

-- A timer that could not be fired: try again at `retry_at`, or, without one, park it for people to see.
create function kernel.timer_failed(
    the_tenant int, the_kind text, the_stream text, the_name text, the_due timestamptz, reason text, retry_at timestamptz)
returns void language sql security definer set search_path = kernel, pg_temp as $$
    update timer set attempts = attempts + 1, failure = reason, due_at = coalesce(retry_at, due_at), parked = retry_at is null
     where (tenant, kind, stream, name) = (the_tenant, the_kind, the_stream, the_name) and due_at = the_due
$$;

-- People let a parked timer try again.
create function kernel.timer_retry(the_tenant int, the_kind text, the_stream text, the_name text)
returns bool language sql security definer set search_path = kernel, pg_temp as $$
    with freed as (
        update timer set attempts = 0, parked = false, failure = null
         where (tenant, kind, stream, name) = (the_tenant, the_kind, the_stream, the_name) and parked returning 1)
    select exists (select from freed)
$$;

-- Stored answers are operational: after 30 days a repeat is judged by its natural key.
create function kernel.forget_answers(before timestamptz, at_most int) returns int
language sql security definer set search_path = kernel, pg_temp as $$
    with old as (select ctid from answer where at < before limit at_most),
    gone as (delete from answer where ctid = any (array(select ctid from old)) returning 1)
    select count(*)::int from gone
$$;

-- A state of an older schema, folded again from its events by a worker.
create function kernel.refold(
    the_tenant int, the_kind text, the_id text, at_version int, new_state jsonb, new_schema smallint)
returns bool language sql security definer set search_path = kernel, pg_temp as $$
    with done as (
        update stream set state = new_state, state_schema = new_schema
         where (tenant, kind, id) = (the_tenant, the_kind, the_id) and version = at_version returning 1)
    select exists (select from done)
$$;

-- The next seal; the function refuses one that does not follow the last.
create function kernel.append_seal(
    s_no bigint, s_epoch smallint, s_from_xid xid8, s_from_position bigint, s_to_xid xid8, s_to_position bigint,
    s_events bigint, s_root bytea, s_previous bytea, s_chain bytea, s_at timestamptz)
returns bool language plpgsql security definer set search_path = kernel, pg_temp as $$
begin
    if exists (select from seal where no >= s_no) or (s_no > 1 and not exists (
            select from seal where no = s_no - 1 and chain = s_previous)) then
        return false;
    end if;
    insert into seal values (s_no, s_epoch, s_from_xid, s_from_position, s_to_xid, s_to_position, s_events, s_root,
                             s_previous, s_chain, s_at)
        on conflict do nothing;
    return found;
end $$;

revoke execute on all functions in schema kernel from public;
grant execute on all functions in schema kernel to pasar_app;
grant execute on function kernel.tenant_visible(int) to pasar_reader;
