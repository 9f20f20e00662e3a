-- Numbers that people read, such as those of orders: each process draws a block and counts through it by itself. What a
-- process has drawn and not used is lost: gaps are allowed, doubles are not.
create table kernel.number_block (
    tenant int not null,
    name text collate "C" not null,
    next bigint not null check (next > 0),
    primary key (tenant, name)
) with (fillfactor = 50);

alter table kernel.number_block enable row level security;
create policy tenant_fence on kernel.number_block for select using (kernel.tenant_visible(tenant));
grant select on kernel.number_block to pasar_app, pasar_reader;

-- The first number of a block of `size` that nobody else gets.
create function kernel.take_block(tenant int, name text, size int) returns bigint
language plpgsql security definer set search_path = kernel, pg_temp as $$
declare
    following bigint;
begin
    if size not between 1 and 100000 then
        raise exception 'a block has 1 to 100000 numbers, not %', size;
    end if;
    insert into number_block as block (tenant, name, next) values (take_block.tenant, take_block.name, 1 + size)
        on conflict on constraint number_block_pkey do update set next = block.next + size
        returning block.next into following;
    return following - size;
end $$;

revoke execute on function kernel.take_block(int, text, int) from public;
grant execute on function kernel.take_block(int, text, int) to pasar_app;
