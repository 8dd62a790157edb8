-- Adds output exactly once: the id of an entry is the offset of its end; an overlap is cut off, a repetition ignored.
-- KEYS  1 meta, 2 output stream
-- ARGV  1 epoch, 2 stream (out or err), 3 offset, 4 data, 5 most bytes that Redis may hold, 6 channel, 7 job
-- Returns {size, offset of the first byte in Redis, 1 when there is no room until something is archived}.
--         A gap changes nothing; the size tells from where to send again.
-- Errors STALE when a newer controller has written to this job.
local name = ARGV[2]
local was = redis.call('HMGET', KEYS[1], 'epoch', name, name .. '0')
local epoch, size, first = tonumber(was[1] or '0'), tonumber(was[2] or '0'), tonumber(was[3] or '0')
if tonumber(ARGV[1]) < epoch then
  return redis.error_reply('STALE epoch ' .. ARGV[1] .. ', the store has seen ' .. string.format('%.0f', epoch))
end
local from = tonumber(ARGV[3])
local upto = from + #ARGV[4]
if from > size or upto <= size then
  return {size, first, 0}
end
if size - first > tonumber(ARGV[5]) then
  return {size, first, 1}
end
local text = string.format('%.0f', upto)
redis.call('XADD', KEYS[2], text .. '-0', 'd', from < size and string.sub(ARGV[4], size - from + 1) or ARGV[4])
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], name, text)
redis.call('PUBLISH', ARGV[6], ARGV[7])
return {upto, first, 0}
