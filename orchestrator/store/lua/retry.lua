-- Puts a job back into the queue for its next attempt; its output goes on behind what is there.
-- Uses  move
-- KEYS  1 to 10 as in move.lua
-- ARGV  1 epoch, 2 job, 3 run, 4 operation, 5 attempt that is over, 6 when to assign it again (Unix time), 7 note,
--       8 channel, 9 and 10 bytes of output held, 11 number of states it may come from, then these, then the number
--       of columns that begin anew, then these, then columns and values
-- Returns 1, or 0 when the job is unknown, past it, on another attempt, or is to be cancelled (1 again for the
--         operation that did it).
-- Errors STALE when a newer controller has taken over; WRONGTYPE when a key is not ours.
local refused = check(ARGV[1])
if refused then
  return refused
end
local was = redis.call('HMGET', KEYS[2], 'state', 'op', 'attempt', 'cancel_op', 'node')
if was[2] == ARGV[4] then
  return 1
end
local at = 11
local function list()
  local found, upto = {}, at + tonumber(ARGV[at])
  for index = at + 1, upto do
    found[#found + 1] = ARGV[index]
  end
  at = upto + 1
  return found
end
local allowed = false
for _, state in ipairs(list()) do
  allowed = allowed or state == was[1]
end
if not allowed or was[3] ~= ARGV[5] or was[4] then
  return 0
end
local anew = list()
local fields = {'op', ARGV[4], 'attempt', string.format('%.0f', tonumber(ARGV[5]) + 1), 'retry_at', ARGV[6],
  'base_out', ARGV[9], 'base_err', ARGV[10]}
for index = at, #ARGV do
  fields[#fields + 1] = ARGV[index]
end
drop_progress()
move({job = ARGV[2], run = ARGV[3], from = was[1], to = 'queued', ended = '', note = ARGV[7], channel = ARGV[8],
  fields = fields})
redis.call('HDEL', KEYS[2], unpack(anew))
redis.call('XADD', KEYS[7], '*', 'kind', 'retried', 'run', ARGV[3], 'job', ARGV[2], 'node', was[5], 'at', ARGV[6])
return 1
