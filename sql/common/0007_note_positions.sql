-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Up to where this database has taken in what it reads, written in the transaction of the effects; and, as partition 0
-- of the topic 'crm.outbox', up to which number its own events have left it. A few rows, written with every batch.
CREATE TABLE crm.positions (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- `seen` are the positions that the caller knows of. A lower one means that the database was put back in time under it.
CREATE FUNCTION crm.note_positions(topics text[], partitions integer[], seen bigint[], reached bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM unnest(topics, partitions, seen) AS t (topic, partition, seen)
        LEFT JOIN crm.positions AS p ON p.topic = t.topic AND p.partition = t.partition
        WHERE t.seen > 0 AND t.seen > coalesce(p.next_offset, 0)
    ) THEN
        RAISE EXCEPTION 'this database was put back in time' USING ERRCODE = 'CRM01';
    END IF;
    INSERT INTO crm.positions AS p (topic, partition, next_offset)
    SELECT t.topic, t.partition, t.next_offset
    FROM unnest(topics, partitions, reached) AS t (topic, partition, next_offset) ORDER BY t.topic, t.partition
    ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset
    WHERE p.next_offset < excluded.next_offset;
END $$;

DO $$
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE ON crm.positions TO %I', crm.service_role());
END $$;

-- migrate:down
