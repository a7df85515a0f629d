#!/bin/sh
# ask.sh CONTINENT: the region that a user there is sent to, by its address.
# The networks are those of Carnegie Mellon University, the RIPE NCC and the University of Tokyo.
case $1 in
    america) client=128.2.0.0/24 ;;
    europe) client=193.0.0.0/24 ;;
    asia) client=133.11.0.0/24 ;;
    *) echo "usage: ask.sh america|europe|asia" >&2; exit 64 ;;
esac
exec dig @"${SERVER:-10.53.0.53}" +short +tries=1 +time=1 +subnet="$client" www.world.meridian.test
