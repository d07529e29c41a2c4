// Standard input, output and error of the command itself.
#pragma once

namespace treadle::cli {

// Opens /dev/null where one of them is closed: the next file that is opened would have its number,
// and get what is printed. A program that the command becomes finds them closed, as it would
// without us. Call it before anything is opened.
void fill_closed_streams();

}  // namespace treadle::cli
