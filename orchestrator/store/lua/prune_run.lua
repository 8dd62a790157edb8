-- Forgets an ended run; its output has been removed before.
-- KEYS  1 run, 2 jobs, 3 inputs, 4 events, 5 runs, 6 ends, 7 done, 8 unarchived, 9.. one per job
-- ARGV  1 run id, 2 run id backwards, 3.. one id per job
-- Returns 1, or 0 when the run has not ended or is gone.
if not redis.call('ZSCORE', KEYS[7], ARGV[1]) then
  return 0
end
for index = 3, #ARGV do
  redis.call('ZREM', KEYS[8], ARGV[index])
  redis.call('DEL', KEYS[6 + index])
end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('ZREM', KEYS[6], ARGV[2])
redis.call('ZREM', KEYS[7], ARGV[1])
return 1
