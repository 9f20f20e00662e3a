-- How often somebody tried to guess a secret, over all processes. Keys are hashes: of a subject (a login), and of a
-- subject together with the place that asks. Nothing here says whether the subject exists.
create table kernel.throttle (
    tenant int not null,
    key bytea not null,
    failures int not null default 0,
    at timestamptz not null,
    -- Of a subject: when the next guess from a place that is not known may be looked at.
    next_at timestamptz,
    -- Of a place: when it was last right about this subject.
    known_at timestamptz,
    primary key (tenant, key)
) with (fillfactor = 70);
alter table kernel.throttle enable row level security;

-- Milliseconds to wait after so many failures: three are free, then ever more, five seconds at most.
create function kernel.throttle_ms(failures int) returns int language sql immutable
    return case when failures < 3 then 0 else least(5000, 125 << least(failures - 3, 10)) end;

-- Count a guess before it is looked at, so that many at once do not all count as the first. Gives the milliseconds that
-- it must wait, or -1: too many wait already. A place that was right before waits for its own failures alone, so that
-- strangers do not keep an owner out; all strange places together get one guess after the other, in slots that lie
-- ever farther apart: that bounds the guesses of a subject, whatever the number of addresses.
create function kernel.throttle_begin(tenant int, subject bytea, place bytea, now timestamptz) returns int
language plpgsql security definer set search_path = kernel, pg_temp as $$
declare
    fades constant interval := interval '15 minutes';
    longest constant interval := interval '30 seconds';
    own int;
    strange int;
    is_known boolean;
    wait int;
    gap interval;
    slot timestamptz;
begin
    insert into throttle as t (tenant, key, failures, at)
    values (throttle_begin.tenant, throttle_begin.place, 1, throttle_begin.now)
        on conflict on constraint throttle_pkey do update
       set failures = case when t.at < throttle_begin.now - fades then 1 else t.failures + 1 end,
           at = throttle_begin.now
    returning failures, coalesce(known_at > throttle_begin.now - interval '90 days', false) into own, is_known;
    wait := throttle_ms(own - 1);
    if is_known then
        return wait;
    end if;
    insert into throttle as t (tenant, key, failures, at)
    values (throttle_begin.tenant, throttle_begin.subject, 1, throttle_begin.now)
        on conflict on constraint throttle_pkey do update
       set failures = case when t.at < throttle_begin.now - fades then 1 else t.failures + 1 end,
           at = throttle_begin.now
    returning failures, next_at into strange, slot;
    gap := make_interval(secs => throttle_ms((strange - 1) / 10) / 1000.0);
    if gap = interval '0' then
        return wait;
    end if;
    slot := greatest(coalesce(slot, throttle_begin.now), throttle_begin.now);
    if slot - throttle_begin.now > longest then
        return -1;
    end if;
    update throttle t set next_at = slot + gap
     where t.tenant = throttle_begin.tenant and t.key = throttle_begin.subject;
    return greatest(wait, (extract(epoch from slot + gap - throttle_begin.now) * 1000)::int);
end $$;

-- The guess was right: the place is known from now on, and starts anew. What others did to the subject still counts.
create function kernel.throttle_right(tenant int, subject bytea, place bytea, now timestamptz) returns void
language sql security definer set search_path = kernel, pg_temp as $$
    with known as (
        select coalesce(known_at > throttle_right.now - interval '90 days', false) as known
          from throttle t where t.tenant = throttle_right.tenant and t.key = throttle_right.place),
    counted as (
        update throttle t set failures = greatest(t.failures - 1, 0)
         where t.tenant = throttle_right.tenant and t.key = throttle_right.subject
           and not (select known from known))
    update throttle t set failures = 0, known_at = throttle_right.now
     where t.tenant = throttle_right.tenant and t.key = throttle_right.place
$$;

-- What is older than it matters; how many.
create function kernel.throttle_forget(now timestamptz) returns bigint
language sql security definer set search_path = kernel, pg_temp as $$
    with gone as (
        delete from throttle t
         where t.at < throttle_forget.now - interval '1 day'
           and coalesce(t.known_at < throttle_forget.now - interval '90 days', true)
        returning 1)
    select count(*) from gone
$$;

revoke execute on function kernel.throttle_begin(int, bytea, bytea, timestamptz) from public;
revoke execute on function kernel.throttle_right(int, bytea, bytea, timestamptz) from public;
revoke execute on function kernel.throttle_forget(timestamptz) from public;
grant execute on function kernel.throttle_begin(int, bytea, bytea, timestamptz) to pasar_app;
grant execute on function kernel.throttle_right(int, bytea, bytea, timestamptz) to pasar_app;
grant execute on function kernel.throttle_forget(timestamptz) to pasar_app;
