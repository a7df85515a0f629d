#!/bin/sh
# Asks for three continents every second and writes a line whenever an answer has changed.
trap 'exit 0' TERM INT
before=""
while :; do
    now=""
    for continent in america europe asia; do
        answer=$(sh /ask.sh "$continent" 2>/dev/null | tail -n 1)
        now="$now  $continent -> ${answer:-nothing}"
    done
    [ "$now" = "$before" ] || echo "$(date -u +%H:%M:%S)$now"
    before=$now
    sleep 1
done
