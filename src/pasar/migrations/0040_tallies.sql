-- How often something happened on a day that is no event, such as a visit: a number, of nobody in particular. Processes
-- add up what they saw and write the sum now and then.
create table kernel.tally (
    tenant int not null,
    name text collate "C" not null,
    day date not null,
    times bigint not null check (times > 0),
    primary key (tenant, name, day)
) with (fillfactor = 50);

alter table kernel.tally enable row level security;
create policy tenant_fence on kernel.tally for select using (kernel.tenant_visible(tenant));
grant select on kernel.tally to pasar_app, pasar_reader;

create function kernel.tally_add(tenants int[], names text[], days date[], times bigint[]) returns void
language sql security definer set search_path = kernel, pg_temp as $$
    insert into tally as t (tenant, name, day, times)
    select * from unnest(tally_add.tenants, tally_add.names, tally_add.days, tally_add.times) order by 1, 2, 3
        on conflict on constraint tally_pkey do update set times = t.times + excluded.times
$$;

revoke execute on function kernel.tally_add(int[], text[], date[], bigint[]) from public;
grant execute on function kernel.tally_add(int[], text[], date[], bigint[]) to pasar_app;
