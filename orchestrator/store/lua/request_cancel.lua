-- Cancels a queued job at once, and asks the dispatcher of any other that has not ended.
-- Uses  move
-- KEYS  1 to 10 as in move.lua
-- ARGV  1 job, 2 run, 3 operation, 4 who, 5 grace (seconds, '' = the job's own), 6 now, 7 note, 8 channel,
--       9 the work streams' name without the dispatcher (the slot is theirs too), 10.. columns of a cancelled job
-- Returns 1 cancelled, 2 requested, 3 it had ended, 0 unknown; the same again for the same operation.
-- Errors WRONGTYPE when a key is not ours.
local wrong = check_types()
if wrong then
  return wrong
end
local was = redis.call('HMGET', KEYS[2], 'state', 'cancel_op', 'cancel_answer', 'dispatcher', 'attempt')
if not was[1] then
  return 0
end
if was[2] == ARGV[3] then
  return tonumber(was[3])
end
if not redis.call('ZSCORE', KEYS[5], ARGV[1]) then
  return 3
end
redis.call('HSETNX', KEYS[3], 'cancelled_by', ARGV[4])
if was[1] == 'queued' then
  local fields = {'cancel_op', ARGV[3], 'cancel_answer', 1}
  for index = 10, #ARGV do
    fields[#fields + 1] = ARGV[index]
  end
  move({job = ARGV[1], run = ARGV[2], from = 'queued', to = 'cancelled', ended = ARGV[6], note = ARGV[7],
    channel = ARGV[8], fields = fields})
  return 1
end
redis.call('HSET', KEYS[2], 'cancel_op', ARGV[3], 'cancel_answer', 2)
redis.call('XADD', ARGV[9] .. was[4], '*', 'kind', 'cancel', 'job', ARGV[1], 'attempt', was[5], 'grace', ARGV[5])
return 2
