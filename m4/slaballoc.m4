# slaballoc.m4: the configure macros of this package.
# SPDX-License-Identifier: MIT

# _SLA_FLAG(VARIABLE, FLAG, FLAGS-VARIABLE, COMPILE-OR-LINK-MACRO)
# -Werror is there so that a tool that merely warns about an unknown flag
# counts as refusing it.
m4_define([_SLA_FLAG], [
AS_VAR_PUSHDEF([sla_var], [sla_cv_flag_$3_$2])dnl
AC_CACHE_CHECK([whether $CC accepts $2], [sla_var], [
  AS_VAR_COPY([sla_saved], [$3])
  AS_VAR_SET([$3], ["$sla_saved -Werror $2"])
  $4([AC_LANG_PROGRAM([], [])], [AS_VAR_SET([sla_var], [yes])], [AS_VAR_SET([sla_var], [no])])
  AS_VAR_COPY([$3], [sla_saved])
])
AS_VAR_IF([sla_var], [yes], [AS_VAR_APPEND([$1], [" $2"])])
AS_VAR_POPDEF([sla_var])dnl
])

# SLA_CFLAGS(VARIABLE, FLAG FLAG...)
# SLA_LDFLAGS(VARIABLE, FLAG FLAG...)
# Append to VARIABLE each FLAG that the C compiler, or its linking, takes.
AC_DEFUN([SLA_CFLAGS],
  [m4_foreach_w([sla_flag], [$2], [_SLA_FLAG([$1], m4_defn([sla_flag]), [CFLAGS], [AC_COMPILE_IFELSE])])])
AC_DEFUN([SLA_LDFLAGS],
  [m4_foreach_w([sla_flag], [$2], [_SLA_FLAG([$1], m4_defn([sla_flag]), [LDFLAGS], [AC_LINK_IFELSE])])])

# SLA_ENABLE(NAME, DEFAULT, HELP)
# A switch that is on or off; the answer is in enable_NAME (dashes as
# underscores).  HELP describes the switch that differs from the default.
AC_DEFUN([SLA_ENABLE], [
AC_ARG_ENABLE([$1], [AS_HELP_STRING([m4_if([$2], [yes], [--disable-$1], [--enable-$1])], [$3])],
  [], [AS_VAR_SET([enable_]m4_translit([$1], [-], [_]), [$2])])
AS_CASE([$enable_[]m4_translit([$1], [-], [_])], [yes|no], [],
  [AC_MSG_ERROR([--enable-$1 takes no value but yes or no, not '$enable_[]m4_translit([$1], [-], [_])'])])
])

# SLA_ONE_OF(SWITCH, VALUE, CHOICE CHOICE...)
# Stops configure unless VALUE is one of the choices.
AC_DEFUN([SLA_ONE_OF], [
AS_CASE([$2], [m4_bpatsubst([$3], [ ], [|])], [],
  [AC_MSG_ERROR([$1 is one of: $3; not '$2'])])
])

# SLA_VERSION_SCRIPT
# Sets sla_version_script to yes if the linker takes a version script, and
# appends to VSCRIPT_LDFLAGS the flag that makes a stale name in it an error.
AC_DEFUN([SLA_VERSION_SCRIPT], [
AC_CACHE_CHECK([whether the linker takes a version script], [sla_cv_version_script], [
  sla_saved=$LDFLAGS
  echo 'SLA_TEST { global: main; local: *; };' > conftest.map
  LDFLAGS="$LDFLAGS -Wl,--version-script=conftest.map"
  AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [sla_cv_version_script=yes], [sla_cv_version_script=no])
  rm -f conftest.map
  LDFLAGS=$sla_saved
])
sla_version_script=$sla_cv_version_script
AS_IF([test "$sla_version_script" = yes], [SLA_LDFLAGS([VSCRIPT_LDFLAGS], [-Wl,--no-undefined-version])])
])

# SLA_LAYOUT_SCRIPT
# Sets sla_layout_script to yes if the linker can use src/layout.ld for a shared
# library, and LAYOUT_LDFLAGS to what else saves pages then.
AC_DEFUN([SLA_LAYOUT_SCRIPT], [
AC_CACHE_CHECK([whether the linker takes src/layout.ld], [sla_cv_layout_script], [
  sla_saved=$LDFLAGS
  sla_saved_cflags=$CFLAGS
  CFLAGS="$CFLAGS -fPIC"
  LDFLAGS="$LDFLAGS -shared -Wl,--fatal-warnings -Wl,-z,noseparate-code -Wl,-T,$srcdir/src/layout.ld"
  AC_LINK_IFELSE([AC_LANG_SOURCE([int one = 1, *two = &one;
      int f(void); int f(void) { return *two; }])], [sla_cv_layout_script=yes], [sla_cv_layout_script=no])
  LDFLAGS=$sla_saved
  CFLAGS=$sla_saved_cflags
])
sla_layout_script=$sla_cv_layout_script
AS_IF([test "$sla_layout_script" = yes], [LAYOUT_LDFLAGS='-Wl,-z,noseparate-code'])
])

# SLA_SANITIZER(LIST)
# Checks a comma-separated LIST and appends to SANITIZER_FLAGS what turns it on.
AC_DEFUN([SLA_SANITIZER], [
for sla_one in `AS_ECHO(["$1"]) | tr ',' ' '`; do
  SLA_ONE_OF([--enable-sanitizer], [$sla_one], [address undefined thread])
done
AS_CASE([",$1,"], [*,thread,*address,*|*,address,*thread,*],
  [AC_MSG_ERROR([the thread and address sanitizers exclude each other])])
SANITIZER_FLAGS="-fsanitize=$1 -fno-omit-frame-pointer"
AS_CASE([",$1,"], [*,undefined,*], [SANITIZER_FLAGS="$SANITIZER_FLAGS -fno-sanitize-recover=undefined"])
AC_MSG_CHECKING([whether $CC links with $SANITIZER_FLAGS])
sla_saved=$CFLAGS
CFLAGS="$CFLAGS $SANITIZER_FLAGS"
AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [AC_MSG_RESULT([yes])],
  [AC_MSG_RESULT([no])
   AC_MSG_ERROR([this compiler has no such sanitizer])])
CFLAGS=$sla_saved
])

# SLA_THREADS
# Sets PTHREAD_CFLAGS and PTHREAD_LIBS; -pthread where the compiler knows it.
AC_DEFUN([SLA_THREADS], [
AC_CACHE_CHECK([how to link with threads], [sla_cv_threads], [
  sla_cv_threads=no
  sla_saved=$LIBS
  for sla_one in -pthread -lpthread; do
    LIBS="$sla_saved $sla_one"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([#include <pthread.h>],
      [pthread_t t; return pthread_create(&t, 0, 0, 0) + pthread_atfork(0, 0, 0);])],
      [sla_cv_threads=$sla_one; break])
  done
  LIBS=$sla_saved
])
AS_IF([test "$sla_cv_threads" = no], [AC_MSG_ERROR([no POSIX threads])])
AC_SUBST([PTHREAD_LIBS], [$sla_cv_threads])
AS_IF([test "$sla_cv_threads" = -pthread], [AC_SUBST([PTHREAD_CFLAGS], [-pthread])])
])
