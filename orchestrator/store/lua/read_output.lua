-- Reads output from an offset on.
-- KEYS  1 meta, 2 output stream
-- ARGV  1 stream (out or err), 2 offset, 3 most bytes
-- Returns {size, offset of the first byte in Redis, data}; data is empty when Redis does not hold that offset.
local was = redis.call('HMGET', KEYS[1], ARGV[1], ARGV[1] .. '0')
local size, first = tonumber(was[1] or '0'), tonumber(was[2] or '0')
local at, room = tonumber(ARGV[2]), tonumber(ARGV[3])
if at < first or at >= size then
  return {size, first, ''}
end
local from = string.format('%.0f-0', at + 1)
local parts = {}
local count = 1 -- doubled each time: entries may be a byte or megabytes long
while room > 0 do
  local entries = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', count)
  for _, entry in ipairs(entries) do
    local upto, data = tonumber(string.match(entry[1], '^%d+')), entry[2][2]
    local skip = at - (upto - #data)
    if room > 0 then
      local piece = (skip > 0 or #data > room) and string.sub(data, skip + 1, skip + room) or data
      parts[#parts + 1] = piece
      room = room - #piece
      at = upto
    end
    from = '(' .. entry[1]
  end
  if #entries < count then
    break
  end
  count = math.min(count * 2, 256)
end
return {size, first, table.concat(parts)}
