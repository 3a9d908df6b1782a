#!/bin/bash
# Is the process of this container ready? Asked every few seconds in every container, so it starts no Python.
exec 3<>"/dev/tcp/127.0.0.1/${CRM_PORT:-8080}" || exit 1
printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "${1:-/readyz}" >&3
read -r -t 3 _ status _ <&3
[ "$status" = 200 ]
