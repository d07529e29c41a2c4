// Standard input, output and error of the command itself.
#pragma once

#include <string>

namespace treadle::cli {

// Opens /dev/null where one of them is closed: the next file that is opened would have its number,
// and get what is printed. A program that the command becomes finds them closed, as it would
// without us. Call it before anything is opened.
void fill_closed_streams();

// To standard output, at once or with what follows. Whatever becomes of it the command goes on, as
// it may have files to write; see end_output().
void print(const std::string& text);

// To standard error. What cannot be written there is lost: there is nobody to tell.
void say(const std::string& text);

// The command's exit status: `status`, but a failure, with a line that says so, where the results
// could not be written to standard output.
int end_output(int status);

}  // namespace treadle::cli
