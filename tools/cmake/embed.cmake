# cmake -DIN=kernel.spv -DOUT=kernel.inc -P embed.cmake: little-endian words as a C initialiser, eight a line.
file(READ ${IN} hex HEX)
set(byte "([0-9a-f][0-9a-f])")
string(REGEX REPLACE "${byte}${byte}${byte}${byte}" "0x\\4\\3\\2\\1," words "${hex}")
string(REPEAT "[^,]*," 8 line)
string(REGEX REPLACE "(${line})" "\\1\n" words "${words}")
file(WRITE ${OUT} "${words}\n")
