-- Notes whether the node of a job can be reached.
-- KEYS  1 job, 2 events, 3 live
-- ARGV  1 job, 2 link, 3 since (JSON number), 4 note, 5 channel
-- Returns 1, or 0 when the job has ended, is unknown, or has this link already.
if not redis.call('ZSCORE', KEYS[3], ARGV[1]) then
  return 0
end
local was = redis.call('HMGET', KEYS[1], 'link', 'node')
if (was[1] or '"connected"') == ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], 'link', ARGV[2], 'link_since', ARGV[3])
redis.call('XADD', KEYS[2], '*', 'note', ARGV[4], 'node', was[2])
redis.call('PUBLISH', ARGV[5], 'e')
return 1
