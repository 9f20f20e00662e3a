-- What followers need beyond their cursors: retries that outlive a worker, and view tables that are rebuilt beside the
-- live ones and swapped.

-- A lane is what must stay in order for a follower: the stream, or the instance of a process. A parked event with
-- `retry_at` is tried again by itself; without one, the first of its lane waits for people and the others for it.
alter table kernel.parked
    add column lane text collate "C" not null default '',
    add column retry_at timestamptz,
    add column replays int not null default 0;
create index parked_due on kernel.parked (follower, retry_at) where retry_at is not null;
create index parked_lane on kernel.parked (follower, tenant, lane, epoch, xid, position);

-- A new definition waits here until its table is built and swapped.
alter table kernel.view_table add column next_definition text;

-- Whoever reads sees the tenant of the connection; whoever writes can touch one tenant's rows only, named by the
-- transaction. The equality is what lets statements that do not name the tenant use the key's index.
create function kernel.fence_view(view_schema text, view_name text) returns void
language plpgsql set search_path = kernel, pg_temp as $$
declare
    target constant text := format('%I.%I', view_schema, view_name);
begin
    execute format('alter table %s enable row level security', target);
    execute format('create policy tenant_fence on %s for select using (kernel.tenant_visible(tenant))', target);
    execute format('create policy tenant_insert on %s for insert to pasar_app
        with check (tenant = current_setting(''pasar.tenant'')::int)', target);
    execute format('create policy tenant_update on %s for update to pasar_app
        using (tenant = current_setting(''pasar.tenant'')::int)', target);
    execute format('create policy tenant_delete on %s for delete to pasar_app
        using (tenant = current_setting(''pasar.tenant'')::int)', target);
    execute format('grant select, insert, update, delete on %s to pasar_app', target);
    execute format('grant select on %s to pasar_reader', target);
end $$;

-- An empty table beside the live one. Where a new definition waits, the migration has made it; a leftover is emptied.
create function kernel.open_next_view(view_schema text, view_name text) returns void
language plpgsql security definer set search_path = kernel, pg_temp as $$
declare
    following constant text := view_name || '__next';
begin
    perform from view_table where view = view_schema || '.' || view_name for update;
    if not found then
        raise exception '%.% is no view', view_schema, view_name;
    end if;
    if to_regclass(format('%I.%I', view_schema, following)) is not null then
        execute format('truncate %I.%I', view_schema, following);
        return;
    end if;
    execute format('create table %I.%I (like %I.%I including all)', view_schema, following, view_schema, view_name);
    perform fence_view(view_schema, following);
end $$;

-- The rebuilt table takes the live one's place, in the caller's transaction.
create function kernel.swap_view(view_schema text, view_name text) returns void
language plpgsql security definer set search_path = kernel, pg_temp as $$
begin
    perform from view_table where view = view_schema || '.' || view_name for update;
    if not found or to_regclass(format('%I.%I', view_schema, view_name || '__next')) is null then
        raise exception '%.% has nothing to swap', view_schema, view_name;
    end if;
    execute format('drop table %I.%I', view_schema, view_name);
    execute format('alter table %I.%I rename to %I', view_schema, view_name || '__next', view_name);
    update view_table set definition = coalesce(next_definition, definition), next_definition = null, built_at = now()
     where view = view_schema || '.' || view_name;
end $$;

-- A rebuilt table that was only compared with the live one.
create function kernel.drop_next_view(view_schema text, view_name text) returns void
language plpgsql security definer set search_path = kernel, pg_temp as $$
begin
    perform from view_table where view = view_schema || '.' || view_name and next_definition is null for update;
    if found then
        execute format('drop table if exists %I.%I', view_schema, view_name || '__next');
    end if;
end $$;

revoke execute on function kernel.fence_view(text, text), kernel.open_next_view(text, text),
    kernel.swap_view(text, text), kernel.drop_next_view(text, text) from public;
grant execute on function kernel.open_next_view(text, text), kernel.swap_view(text, text),
    kernel.drop_next_view(text, text) to pasar_app;
