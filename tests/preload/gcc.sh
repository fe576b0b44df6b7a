#!/bin/sh
# gcc.sh: the compilers on the drop-in give the same object files.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
cc=$(echo "$CC" | awk '{ print $1 }')
cxx=$(echo "$CXX" | awk '{ print $1 }')
need "$cc" awk

functions=300
[ "$quick" = 1 ] && functions=60
{
    for header in stdio stdlib string math time signal errno ctype locale wchar setjmp unistd pthread; do
        echo "#include <$header.h>"
    done
    awk -v n="$functions" 'BEGIN {
        for (i = 0; i < n; i++) {
            printf "struct s%d { int a[%d]; double d; const char *t; };\n", i, i % 13 + 1
            printf "static double f%d(struct s%d *s, int k) { double r = s->d; for (int i = 0; i < k; i++) {", i, i
            printf " switch ((i * %d) %% 7) { case 0: r += s->a[i %% %d]; break; case 3: r *= 1.5; break;", i + 3, i % 13 + 1
            printf " default: r -= strlen(s->t) + %d; } } return r; }\n", i
        }
        print "double all(int k) { double r = 0;"
        for (i = 0; i < n; i++)
            printf "{ struct s%d s = { {%d}, k, \"text %d\" }; r += f%d(&s, k + %d); }\n", i, i, i, i, i
        print "return r; }"
    }'
} >large.c
both sh -c "$cc -O2 -w -c ../large.c -o large.o"
cmp plain/large.o preloaded/large.o || fail "$cc: different object files"

both sh -c "$cc -O2 -w -fsyntax-only ../missing.c"

command -v "$cxx" >/dev/null 2>&1 || { echo "$name: no C++ compiler, C alone"; exit 0; }
{
    for header in vector map unordered_map string sstream algorithm functional memory regex thread future variant; do
        echo "#include <$header>"
    done
    classes=20
    [ "$quick" = 1 ] && classes=8
    awk -v n="$classes" 'BEGIN {
        print "template <int N> struct tree { std::map<std::string, std::vector<int>> m; tree<N - 1> next;"
        print "  long sum() const { long r = next.sum(); for (auto &e : m) for (int v : e.second) r += v * N; return r; } };"
        print "template <> struct tree<0> { long sum() const { return 0; } };"
        for (i = 1; i <= n; i++)
            printf "long g%d() { tree<%d> t; t.m[\"%d\"] = { 1, %d }; std::ostringstream o; o << t.sum(); return o.str().size(); }\n", i, i, i, i
        print "bool match(const std::string &s) { return std::regex_match(s, std::regex(\"(a|b)*c\")); }"
    }'
} >large.cc
both sh -c "$cxx -std=c++17 -O2 -w -c ../large.cc -o large.o"
cmp plain/large.o preloaded/large.o || fail "$cxx: different object files"
echo "$name: $functions C functions, templates in C++"
