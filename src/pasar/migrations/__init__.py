"""SQL for what cannot be rebuilt: numbered files, applied in order by `pasar.kernel.migrate`, never edited later."""
