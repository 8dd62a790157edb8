-- Moves a job along the life that jobs/lifecycle.py draws; a duplicate or a late event changes nothing.
-- Uses  move
-- KEYS  1 to 10 as in move.lua
-- ARGV  1 epoch, 2 job, 3 run, 4 operation, 5 attempt, 6 new state, 7 end (Unix time, '' = goes on), 8 note,
--       9 channel, 10 number of states it may come from, then these, then columns and values
-- Returns 1, or 0 when the job is unknown, past it, or on another attempt (1 again for the operation that did it).
-- Errors STALE when a newer controller has taken over; WRONGTYPE when a key is not ours.
local refused = check(ARGV[1])
if refused then
  return refused
end
local was = redis.call('HMGET', KEYS[2], 'state', 'op', 'attempt')
if was[2] == ARGV[4] then
  return 1
end
local sources = tonumber(ARGV[10])
local allowed = false
for index = 11, 10 + sources do
  allowed = allowed or ARGV[index] == was[1]
end
if not allowed or was[3] ~= ARGV[5] then
  return 0
end
local fields = {'op', ARGV[4]}
for index = 11 + sources, #ARGV do
  fields[#fields + 1] = ARGV[index]
end
move({job = ARGV[2], run = ARGV[3], from = was[1], to = ARGV[6], ended = ARGV[7], note = ARGV[8],
  channel = ARGV[9], fields = fields})
return 1
