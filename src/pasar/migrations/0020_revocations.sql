-- A process that starts asks which tokens were revoked while they could still be alive: few rows of a large log.
create index event_revoked on kernel.event (at) where type = 'identity.AccessRevoked';
