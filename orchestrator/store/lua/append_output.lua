-- Decides whether the XADD behind it in the same transaction may add bytes, which thus pass no script.
-- It may if they begin where the output ends. If not, the stream is put aside, and XADD NOMKSTREAM finds none.
-- KEYS  1 meta, 2 output stream, 3 where it is put aside
-- ARGV  1 epoch, 2 stream (out or err), 3 offset, 4 offset of the end, 5 most bytes that Redis may hold, 6 channel,
--       7 job
-- Returns {size, offset of the first byte in Redis, 1 when there is no room until something is archived}.
--         A gap, an overlap and a repetition change nothing; the size tells from where to send again.
-- Errors STALE when a newer controller has written to this job; WRONGTYPE when a key is not ours.
local name = ARGV[2]
local kind = redis.call('TYPE', KEYS[2]).ok
if kind ~= 'none' and kind ~= 'stream' then -- XADD refuses it as well
  return redis.error_reply('WRONGTYPE ' .. KEYS[2] .. ' holds a ' .. kind .. ' that is not ours')
end
local function refuse(answer)
  if kind == 'stream' then
    redis.call('RENAME', KEYS[2], KEYS[3])
  end
  return answer
end
local was = redis.pcall('HMGET', KEYS[1], 'epoch', name, name .. '0')
if was.err then
  return refuse(was)
end
local epoch, size, first = tonumber(was[1] or '0'), tonumber(was[2] or '0'), tonumber(was[3] or '0')
if tonumber(ARGV[1]) < epoch then
  local text = 'STALE epoch ' .. ARGV[1] .. ', the store has seen ' .. string.format('%.0f', epoch)
  return refuse(redis.error_reply(text))
end
local from, upto = tonumber(ARGV[3]), tonumber(ARGV[4])
if from ~= size or upto == size then
  return refuse({size, first, 0})
end
if size - first > tonumber(ARGV[5]) then
  return refuse({size, first, 1})
end
if kind == 'none' then -- make an empty one
  redis.call('XGROUP', 'CREATE', KEYS[2], name, '0', 'MKSTREAM')
  redis.call('XGROUP', 'DESTROY', KEYS[2], name)
end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], name, ARGV[4])
redis.call('PUBLISH', ARGV[6], ARGV[7])
return {upto, first, 0}
