-- What a follower adds up is found by position. A hold's row moves when what remains of it changes, so that in time each
-- range of pages has transfers of all times and a summary of ranges finds nothing: at half a million transfers one batch
-- of the roll-up took ten seconds and held up all followers. The index only grows at its end.

drop index kernel.transfer_position;
create index transfer_position on kernel.transfer (position);
