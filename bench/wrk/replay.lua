-- Replays requests that were made beforehand: a file of "<length>\n<bytes>" records, given after "--".
-- Each connection's next request is the next of the file, from a random start, so that threads do not march in step.

local requests = {}
local position = 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  while true do
    local length = file:read("*n")
    if not length then break end
    file:read(1)
    requests[#requests + 1] = file:read(length)
  end
  file:close()
  math.randomseed(os.time())
  position = math.random(#requests)
end

function request()
  position = position % #requests + 1
  return requests[position]
end

-- One line for the program that reads it: counts, and latencies in microseconds.
function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    "RESULT requests=%d microseconds=%d connect=%d read=%d write=%d status=%d timeout=%d p50=%d p90=%d p99=%d max=%d\n",
    summary.requests, summary.duration, errors.connect, errors.read, errors.write, errors.status, errors.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
