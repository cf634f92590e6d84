#!/usr/bin/env python3
"""Makes starts.txt and zones/ for tests/unit/test_schedule.c; not needed to run the tests.

	tests/data/schedule/generate.py

Copies the zone files of this machine into zones/, and walks through the years minute by minute with
Python's zoneinfo: at each minute of UTC it looks which minute of local time that is, and whether the
schedule names it.  It knows nothing of spans and rules, and shares no code with what it tests.

starts.txt:
	zone NAME             the file below zones/
	range FROM UNTIL      unix seconds, UNTIL not included
	schedule TEXT
	all COUNT SUM         all starts in the range; SUM = SUM * 1000003 + START, modulo 2**64
	near AT: S...         the starts in AT - 3 h up to AT + 4 h, less AT, where local time jumps
"""

from array import array
from itertools import accumulate, compress
from datetime import datetime, timezone
from pathlib import Path
from zoneinfo import ZoneInfo
import shutil

ZONES = ["Europe/Berlin", "Europe/Dublin", "America/New_York", "America/Havana",
	"America/Santiago", "America/Nuuk", "Australia/Lord_Howe", "Pacific/Chatham",
	"Pacific/Apia", "Africa/Casablanca"]
# Ten years of the files' tables, and two that only their rules know.
RANGES = [((2011, 2021), 6), ((2040, 2042), 2)]
SCHEDULES = ["30 2 * * *", "@daily", "@hourly", "*/15 * * * *", "*/20 1-3 * * *",
	"0,15,50 0-2,23 * * *", "10 */2 * * *", "45 23 1,15 * mon", "5 0 29 2 *",
	"59 23 30 12 *", "15 2-4 * mar,apr,sep-nov sun", "@weekly", "30 12 * * 5", "@yearly"]
BEFORE, BEHIND = 3 * 3600, 4 * 3600

WORDS = {"@daily": "0 0 * * *", "@hourly": "0 * * * *", "@weekly": "0 0 * * 0",
	"@yearly": "0 0 1 1 *"}
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat".split()
EPOCH_DAY = datetime(1970, 1, 1).toordinal()


def values(text, low, high, names=()):
	def value(word):
		return names.index(word) + low if word in names else int(word)

	found = set()
	for item in text.split(","):
		span, _, step = item.partition("/")
		if span == "*":
			first, last = low, high
		else:
			first, _, last = span.partition("-")
			first, last = value(first), value(last or first)
		found.update(range(first, last + 1, int(step or 1)))
	return found


def table(text, first_day, last_day):
	"""A byte for each minute of local time from first_day on: is it named?"""
	minute, hour, day, month, weekday = WORDS.get(text, text).split()
	minutes = values(minute, 0, 59)
	hours = values(hour, 0, 23)
	of_day = bytes(m // 60 in hours and m % 60 in minutes for m in range(1440))
	days = values(day, 1, 31)
	months = values(month, 1, 12, MONTHS)
	weekdays = values(weekday, 0, 6, DAYS)
	either = day[0] != "*" and weekday[0] != "*"
	named = bytearray()
	for number in range(first_day, last_day + 1):
		date = datetime.fromordinal(number + EPOCH_DAY)
		of_month = date.day in days
		of_week = date.isoweekday() % 7 in weekdays
		takes = (of_month or of_week) if either else (of_month and of_week)
		named += of_day if takes and date.month in months else bytes(1440)
	return named


def starts(text, utc, local, reached):
	minute, hour = WORDS.get(text, text).split()[:2]
	base = local[0] // 1440
	named = table(text, base, reached[-1] // 1440 + 1)
	base *= 1440
	if minute[0] == "*" or hour[0] == "*":
		found = set(compress(utc, (named[l - base] for l in local)))
	else:
		found = set()
		for i in range(1, len(utc)):
			if reached[i] > reached[i - 1] and named[reached[i] - base]:
				found.add(utc[i])
	# What a gap has swallowed.
	if hour[0] != "*":
		for i in range(1, len(utc)):
			if reached[i] > reached[i - 1] + 1 and any(
			    named[reached[i - 1] + 1 - base:reached[i] - base]):
				found.add(utc[i])
	return sorted(found)


def seconds(year):
	return int(datetime(year, 1, 1, tzinfo=timezone.utc).timestamp())


def walk(zone, years, windows, out):
	begin, end = seconds(years[0]), seconds(years[1])
	# From three days before, so that what was reached at the beginning is known.
	utc = range(begin - 3 * 86400, end, 60)
	local = array("q")
	for second in utc:
		offset = datetime.fromtimestamp(second, zone).utcoffset()
		local.append((second + int(offset.total_seconds())) // 60)
	reached = array("q", accumulate(local, max))
	jumps = [utc[i] for i in range(1, len(utc)) if local[i] != local[i - 1] + 1 and
	    utc[i] >= begin][:windows]
	# A day that was skipped is always shown.
	jumps += [utc[i] for i in range(1, len(utc)) if local[i] > local[i - 1] + 600 and
	    utc[i] not in jumps]
	print(f"range {begin} {end}", file=out)
	for text in SCHEDULES:
		found = [second for second in starts(text, utc, local, reached) if second >= begin]
		total = 0
		for second in found:
			total = (total * 1000003 + second) % 2**64
		print(f"schedule {text}\nall {len(found)} {total}", file=out)
		for at in jumps:
			near = [second - at for second in found if -BEFORE <= second - at < BEHIND]
			print(f"near {at}:", *near, file=out)


def main():
	folder = Path(__file__).parent
	with open(folder / "starts.txt", "w") as out:
		print("# Made by generate.py, which says what the lines mean.", file=out)
		for name in ZONES:
			file = folder / "zones" / name
			file.parent.mkdir(parents=True, exist_ok=True)
			shutil.copyfile(Path("/usr/share/zoneinfo") / name, file)
			with open(file, "rb") as data:
				zone = ZoneInfo.from_file(data, key=name)
			print(f"zone {name}", file=out)
			for years, windows in RANGES:
				walk(zone, years, windows, out)
			print(name, flush=True)


if __name__ == "__main__":
	main()
