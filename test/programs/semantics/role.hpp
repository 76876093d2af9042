// The suite as the program that a case runs by exec: with SUITE_ROLE in the environment it tells what it was given.
#pragma once

namespace guest {

// Where the environment names a role, plays it and does not return.
//   show: prints `argument:TEXT` and `environment:TEXT` lines, `name:` AT_EXECFN, and `state:` what exec must keep or
//         reset: signals blocked and ignored, whether SIGUSR1 has a handler, whether there is a signal stack, open
//         files
//   may_kill: ends with 1 where it has CAP_KILL, else 0
//   who: ends with 1 where the effective user is the real one, plus 2 where it may be dumped, plus 4 where it is told
//   of
//        its parent's death
//   exit: ends with the status that SUITE_STATUS names
void play_role(int count, char** arguments, char** environment);

}  // namespace guest
