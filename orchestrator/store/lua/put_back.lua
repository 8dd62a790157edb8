-- Ends the transaction that append_output began: a stream that it put aside is back in its place.
-- KEYS  1 output stream, 2 where it was put aside
-- ARGV  none
-- Returns 1 if it had been put aside.
if redis.call('EXISTS', KEYS[2]) == 0 then
  return 0
end
redis.call('RENAME', KEYS[2], KEYS[1])
return 1
