// The style sheet: fluid down to a phone, light and dark as the reader's system is.

#include "tools/http/page.h"

#include "tools/http/markup.h"

namespace http {

// All text has a contrast of at least 4.5 to 1 against what is behind it (WCAG 2.1, 1.4.3), hovered
// or not, in both schemes. A link covers its row, at least 44 CSS pixels high for fingers; the size
// stands above it, so that its title can be pointed at.
const std::string_view kPageStyle = R"(
:root { color-scheme: light dark; --ground: #fff; --text: #1a1c1f; --quiet: #5b6169;
  --link: #0b57d0; --folder: #b26a00; --line: #e3e6ea; --hover: #f3f6fa }
@media (prefers-color-scheme: dark) {
  :root { --ground: #131518; --text: #e6e8eb; --quiet: #a0a7b0;
    --link: #8ab4f8; --folder: #e8b35a; --line: #2a2e33; --hover: #1d2126 }
}
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 60rem; background: var(--ground);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { margin: 0 0 1rem; padding: 0 .5rem; font-size: 1.25rem; font-weight: 600 }
h1 i { padding: 0 .25rem; color: var(--quiet); font-style: normal; font-weight: 400 }
p { margin: 1rem 0; padding: 0 .5rem }
a { color: var(--link); text-decoration: none }
a:hover { text-decoration: underline }
a:focus-visible { outline: 2px solid var(--link); border-radius: .25rem }
ul { margin: 0; padding: 0; list-style: none; border-top: 1px solid var(--line) }
li { position: relative; display: grid; grid-template-columns: minmax(0, 1fr) 9.5rem 6rem;
  align-items: center; column-gap: 1rem; border-bottom: 1px solid var(--line) }
li:hover { background: var(--hover) }
li a { display: flex; gap: .75rem; padding: .625rem .5rem }
li a::after { content: ""; position: absolute; inset: 0 }
svg { flex: none; width: 1.25rem; height: 1.5rem; fill: none; stroke: var(--quiet);
  stroke-width: 1.5; stroke-linejoin: round; stroke-linecap: round }
svg.folder { stroke: var(--folder) }
time, data, footer { color: var(--quiet); font-size: .875rem; font-variant-numeric: tabular-nums }
data { position: relative; padding-right: .5rem; text-align: right }
footer { padding: 1rem .5rem 0 }
.symbols { display: none }
@media (max-width: 40rem) {
  body { padding: 1rem .5rem 2rem }
  li { grid-template-columns: 1fr auto; padding-bottom: .5rem }
  li a { grid-column: 1 / -1; padding-bottom: 0 }
  li:first-child a, li a:only-child { padding-bottom: .25rem }
  time { padding-left: 2.5rem }
}
)";

const std::string_view kPageSecurityPolicy =
    "default-src 'none'; style-src 'sha256-I3T6apDo8+obR03Gm5wyjEetVI0RB0IWStJeilBGZhY='; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

std::string page(std::string_view title, std::string_view body) {
  std::string text =
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>";
  text.append(html_escaped(title)).append("</title>\n<style>").append(kPageStyle);
  text.append("</style>\n</head>\n<body>\n").append(body).append("</body>\n</html>\n");
  return text;
}

}  // namespace http
