#!/bin/sh
# Builds both libraries into a folder: build.sh FOLDER. Only functions of C are visible: NVIDIA's compiler brings a C++
# library of its own.
set -e
from=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
flags="-std=c++17 -O2 -Wall -shared -fPIC -fvisibility=hidden -static-libstdc++ -static-libgcc -Wl,--exclude-libs,ALL"
g++ $flags -o "$1/libcuda.so.1" "$from/driver.cpp" -ldl &
driver=$!
g++ $flags -o "$1/libnvrtc.so" "$from/compiler.cpp" -ldl
wait $driver
cp "$from/kernel.h" "$1"
cp -r "$from/include" "$1"
