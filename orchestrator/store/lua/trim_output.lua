-- Forgets output that is safe in the archive.
-- KEYS  1 meta, 2 output stream
-- ARGV  1 stream (out or err), 2 offset up to which it is archived
-- Returns the offset of the first byte that Redis still holds.
local was = redis.call('HMGET', KEYS[1], ARGV[1], ARGV[1] .. '0')
local size, first, upto = tonumber(was[1] or '0'), tonumber(was[2] or '0'), tonumber(ARGV[2])
if upto <= first or upto > size then
  return first
end
redis.call('XTRIM', KEYS[2], 'MINID', string.format('%.0f-0', upto + 1))
redis.call('HSET', KEYS[1], ARGV[1] .. '0', string.format('%.0f', upto))
if upto == size then
  redis.call('DEL', KEYS[2])
end
return upto
