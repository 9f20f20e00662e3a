-- What others sent us, as it came, with what became of it: kept for a while, to answer "did you not get our notice?".
-- `source` is who says that it is from it, `subject` what it is about, as far as that is known. The text is sealed with a
-- key of the person whom it tells of; of what was not believed, with a key of its day.
create table kernel.notice (
    tenant int not null,
    id uuid not null,
    source text collate "C" not null,
    subject text collate "C" not null,
    person uuid not null,
    at timestamptz not null,
    verdict text not null,
    reason text not null,
    outcome text not null,
    size int not null,
    digest text not null,
    body jsonb,
    primary key (tenant, id)
);
create index notice_newest on kernel.notice (tenant, at desc, id desc);
create index notice_subject on kernel.notice (tenant, subject, at desc) where subject <> '';
create index notice_person on kernel.notice (tenant, person);
create index notice_age on kernel.notice (at);

alter table kernel.notice enable row level security;
create policy tenant_fence on kernel.notice for select using (kernel.tenant_visible(tenant));
grant select on kernel.notice to pasar_app, pasar_reader;

create function kernel.notice_keep(
    tenant int, id uuid, source text, subject text, person uuid, at timestamptz, verdict text, reason text, outcome text,
    size int, digest text, body jsonb
) returns void language sql security definer set search_path = kernel, pg_temp as $$
    insert into notice (tenant, id, source, subject, person, at, verdict, reason, outcome, size, digest, body)
    values (tenant, id, source, subject, person, at, verdict, reason, outcome, size, digest, body)
$$;

-- Delete what is older; how many.
create function kernel.notice_forget(before timestamptz) returns bigint
language sql security definer set search_path = kernel, pg_temp as $$
    with gone as (delete from notice n where n.at < notice_forget.before returning 1) select count(*) from gone
$$;

revoke execute on function kernel.notice_keep(int, uuid, text, text, uuid, timestamptz, text, text, text, int, text, jsonb)
    from public;
revoke execute on function kernel.notice_forget(timestamptz) from public;
grant execute on function kernel.notice_keep(int, uuid, text, text, uuid, timestamptz, text, text, text, int, text, jsonb)
    to pasar_app;
grant execute on function kernel.notice_forget(timestamptz) to pasar_app;
