# strip.awk: C code without comments, strings emptied, as FILE:LINE:CODE.
# Names in #include "..." stay.
# SPDX-License-Identifier: MIT
{
  out = ""
  rest = $0
  is_include = !in_comment && rest ~ /^[ \t]*#[ \t]*include/
  while (rest != "") {
    if (in_comment) {
      end = index(rest, "*/")
      if (end == 0)
        break
      rest = substr(rest, end + 2)
      in_comment = 0
      out = out " "
      continue
    }
    two = substr(rest, 1, 2)
    one = substr(rest, 1, 1)
    if (two == "/*") {
      in_comment = 1
      rest = substr(rest, 3)
    } else if (two == "//") {
      break
    } else if ((one == "\"" || one == "\047") && !is_include) {
      rest = substr(rest, 2)
      while (rest != "" && substr(rest, 1, 1) != one)
        rest = substr(rest, substr(rest, 1, 1) == "\\" ? 3 : 2)
      rest = substr(rest, 2)
      out = out one one
    } else {
      out = out one
      rest = substr(rest, 2)
    }
  }
  print file ":" FNR ":" out
}
