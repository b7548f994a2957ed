#include "tools/proxy_protocol/header_reader.h"

#include <algorithm>
#include <cstring>
#include <string>

#include <gtest/gtest.h>

#include "tests/unit/tools/proxy_protocol/socket_addresses.h"
#include "tools/proxy_protocol/text_header.h"

namespace proxy_protocol {
namespace {

using std::string_literals::operator""s;

// What comes behind each header here: the beginning of a ClientHello, and none of ours.
const std::string kBehind = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 PROXY TCP4 \r\n"s;

std::string text_of(const std::vector<std::uint8_t>& bytes) {
  return {bytes.begin(), bytes.end()};
}

Endpoints endpoints(const std::string& source, const std::string& destination) {
  return {socket_address(source), socket_address(destination)};
}

// Headers of all kinds, and the source that each names.
struct Known {
  std::string header;
  std::string source;  // "-": none
};

std::vector<Known> known_headers() {
  const TlsFacts tls{.version = "TLSv1.3",
                     .cipher = "TLS_AES_128_GCM_SHA256",
                     .authority = "example.org",
                     .alpn = "h2",
                     .common_name = "device 7",
                     .signature_algorithm = "RSA-SHA256",
                     .key_algorithm = "RSA2048",
                     .client_certificate = true};
  std::vector<Known> known = {{"PROXY UNKNOWN\r\n", "-"},
                              {"PROXY UNKNOWN 1 2 3\r\n", "-"},
                              {"PROXY TCP6 :: :: 0 0\r\n", "[::]:0"},
                              {"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"s, "-"}};
  for (const auto& [source, destination] :
       {std::pair("192.0.2.1:56324", "192.0.2.2:443"), std::pair("1.2.3.4:5", "6.7.8.9:1"),
        std::pair("[2001:db8::1]:56324", "[2001:db8:1:2:3:4:5:6]:443"),
        std::pair("unix:/run/a", "unix:/run/b")}) {
    const Endpoints both = endpoints(source, destination);
    const bool is_ip = both.source.family() != AF_UNIX;
    known.push_back({encode_text_header(both), is_ip ? source : "-"});
    known.push_back({text_of(encode_binary_header(both, nullptr)), source});
    known.push_back({text_of(encode_binary_header(both, &tls)), source});
  }
  return known;
}

// Gives the reader `stream` in pieces of what it wants, the first at most `first` bytes long and
// the others at most `piece`. How many bytes it took; nothing if it refused them.
std::optional<std::size_t> consumed(HeaderReader& reader, const std::string& stream,
                                    std::size_t first, std::size_t piece) {
  std::size_t at = 0;
  std::size_t most = first;
  while (reader.wanted() != 0) {
    const std::size_t size = std::min({reader.wanted(), most, stream.size() - at});
    if (size == 0) return std::nullopt;  // it wants more than there is
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(stream.data());
    if (!reader.take(std::span(bytes + at, size))) return std::nullopt;
    at += size;
    most = piece;
  }
  return at;
}

std::string source_of(const HeaderReader& reader) {
  return reader.endpoints() ? reader.endpoints()->source.text() : "-";
}

TEST(HeaderReader, TakesTheHeaderAndNotAByteBehindItHoweverItComes) {
  for (const Known& known : known_headers()) {
    const std::string stream = known.header + kBehind;
    for (std::size_t first = 1; first <= known.header.size(); ++first) {
      for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, stream.size()}) {
        HeaderReader reader;
        EXPECT_EQ(consumed(reader, stream, first, piece), known.header.size()) << known.header;
        EXPECT_EQ(source_of(reader), known.source) << known.header;
      }
    }
  }
}

TEST(HeaderReader, WantsMoreOfEveryBeginning) {
  for (const Known& known : known_headers()) {
    for (std::size_t size = 1; size < known.header.size(); ++size) {
      HeaderReader reader;
      EXPECT_EQ(consumed(reader, known.header.substr(0, size), size, size), std::nullopt);
      EXPECT_NE(reader.wanted(), 0U) << known.header.substr(0, size);
      EXPECT_TRUE(reader.has_begun());
      EXPECT_FALSE(reader.endpoints());
    }
  }
}

std::string refusal_of(const std::string& stream) {
  HeaderReader reader;
  std::size_t at = 0;
  while (reader.wanted() != 0 && at < stream.size()) {
    const std::size_t size = std::min(reader.wanted(), stream.size() - at);
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(stream.data());
    if (const auto taken = reader.take(std::span(bytes + at, size)); !taken) {
      return taken.error().detail;
    }
    at += size;
  }
  return "";
}

TEST(HeaderReader, RefusesWhatIsNoHeaderAtItsFirstByte) {
  EXPECT_EQ(refusal_of("\x16"), "no PROXY header: TLS comes at once");
  EXPECT_EQ(refusal_of("G"), "no PROXY header");
  EXPECT_EQ(refusal_of("\0"s), "no PROXY header");
}

TEST(HeaderReader, RefusesWhatBeginsAsAHeaderOnly) {
  EXPECT_EQ(refusal_of("PUT / HTTP/1.1\r\n"),
            "malformed PROXY line: its protocol is none of TCP4, TCP6 and UNKNOWN");
  EXPECT_EQ(refusal_of("PROXY TCP4 " + std::string(200, '1')),
            "malformed PROXY line: it has no end");
  EXPECT_EQ(refusal_of("\r\n\r\n\0\r\nQUIT\r\n"s), "malformed PROXY header: there is no signature");
  EXPECT_EQ(refusal_of("\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0"s),
            "malformed PROXY header: neither LOCAL nor PROXY of version 2");
}

// Every header with one byte changed is read to its end or refused: no state is without a way out,
// and none takes more than the longest header has.
TEST(HeaderReader, EndsWhateverOneByteIsChangedTo) {
  for (const Known& known : known_headers()) {
    for (std::size_t at = 0; at < known.header.size(); ++at) {
      for (const int change : {0x01, 0x20, 0x80, 0xff}) {
        std::string stream = known.header + std::string(2 * 65'536, '\n');
        stream[at] = static_cast<char>(stream[at] ^ change);
        HeaderReader reader;
        const auto size = consumed(reader, stream, stream.size(), stream.size());
        if (size) {
          EXPECT_LE(*size, kBinaryHeaderMax);
        }
      }
    }
  }
}

}  // namespace
}  // namespace proxy_protocol
