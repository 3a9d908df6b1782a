-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Devices and receipts have ASCII digits now, however they are typed. Those that were kept as they were typed before are
-- found by this; new ones are never in it. Built in a transaction, so that a failure leaves nothing half-made: bills wait
-- for the seconds it takes.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX visit_receipts_old_spellings ON visit_receipts (
    cafe_id, translate(device_id, '۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩０１２３４５６７８９', '012345678901234567890123456789'), translate(receipt_number, '۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩０１２３４５６７８９', '012345678901234567890123456789')
) WHERE device_id || receipt_number ~ '[۰۱۲۳۴۵۶۷۸۹٠١٢٣٤٥٦٧٨٩０１２３４５６７８９]';

-- migrate:down
