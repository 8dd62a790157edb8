-- Tells how much output of a job there is, and lets no older controller add to it from now on.
-- KEYS  1 meta
-- ARGV  1 epoch
-- Returns {bytes of standard output, bytes of standard error}.
-- Errors STALE when a newer controller has written to this job.
local was = redis.call('HMGET', KEYS[1], 'epoch', 'out', 'err')
local epoch = tonumber(was[1] or '0')
if tonumber(ARGV[1]) < epoch then
  return redis.error_reply('STALE epoch ' .. ARGV[1] .. ', the store has seen ' .. string.format('%.0f', epoch))
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1])
return {tonumber(was[2] or '0'), tonumber(was[3] or '0')}
