// sock_diag by libnl: one socket is asked for by its addresses and its cookie.
// Source: net/ipv4/inet_diag.c, inet_diag_dump_one_icsk(); net/core/sock_diag.c.
#include "ktls/observe/socket_diag.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sys/socket.h>

#include "ktls/core/linux_tls.h"
#include "ktls/observe/tcp_bytes.h"

namespace ktls {
namespace {

static_assert(static_cast<int>(TlsConf::kBase) == TLS_CONF_BASE);
static_assert(static_cast<int>(TlsConf::kSoftware) == TLS_CONF_SW);
static_assert(static_cast<int>(TlsConf::kDevice) == TLS_CONF_HW);
static_assert(static_cast<int>(TlsConf::kRecord) == TLS_CONF_HW_RECORD);

struct FreeSocket {
  void operator()(nl_sock* socket) const { nl_socket_free(socket); }
};
struct FreeMessage {
  void operator()(nl_msg* message) const { nlmsg_free(message); }
};
struct FreeBytes {
  void operator()(unsigned char* bytes) const { std::free(bytes); }
};
using NetlinkSocket = std::unique_ptr<nl_sock, FreeSocket>;
using NetlinkMessage = std::unique_ptr<nl_msg, FreeMessage>;

tl::unexpected<Error> undecodable(std::string_view detail) {
  return fail(Error::of(ErrorCode::kDecodeError, detail));
}

// libnl's numbers are its own; errno still holds what the system call said.
tl::unexpected<Error> netlink_error(std::string_view call) {
  return fail(Error::system(errno, call));
}

std::uint16_t number_or_zero(const nlattr* attribute) {
  return attribute == nullptr ? std::uint16_t{0} : nla_get_u16(attribute);
}

Result<TlsInfo> decode_tls_info(nlattr* nested) {
  std::array<nla_policy, TLS_INFO_MAX + 1> policy{};
  for (const int type : {TLS_INFO_VERSION, TLS_INFO_CIPHER, TLS_INFO_TXCONF, TLS_INFO_RXCONF}) {
    policy.at(static_cast<std::size_t>(type)).type = NLA_U16;
  }
  std::array<nlattr*, TLS_INFO_MAX + 1> found{};
  if (nla_parse_nested(found.data(), TLS_INFO_MAX, nested, policy.data()) != 0 ||
      found[TLS_INFO_TXCONF] == nullptr || found[TLS_INFO_RXCONF] == nullptr) {
    return undecodable("sock_diag: INET_ULP_INFO_TLS");
  }
  return TlsInfo{.version = number_or_zero(found[TLS_INFO_VERSION]),
                 .cipher = number_or_zero(found[TLS_INFO_CIPHER]),
                 .transmit = static_cast<TlsConf>(nla_get_u16(found[TLS_INFO_TXCONF])),
                 .receive = static_cast<TlsConf>(nla_get_u16(found[TLS_INFO_RXCONF]))};
}

// ---- asking -----------------------------------------------------------------------------------

struct Address {
  sa_family_t family = AF_UNSPEC;
  in_port_t port = 0;
  std::array<std::uint32_t, 4> words{};
};

using ReadName = int (*)(int, sockaddr*, socklen_t*);

Result<Address> address_of(int fd, ReadName read_name, std::string_view call) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (read_name(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
    return fail(Error::system(errno, call));
  }
  Address address{.family = storage.ss_family};
  if (storage.ss_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, &storage, sizeof in);
    address.port = in.sin_port;
    address.words[0] = in.sin_addr.s_addr;
  } else if (storage.ss_family == AF_INET6) {
    sockaddr_in6 in6{};
    std::memcpy(&in6, &storage, sizeof in6);
    address.port = in6.sin6_port;
    std::memcpy(address.words.data(), &in6.sin6_addr, sizeof in6.sin6_addr);
  } else {
    return fail(Error::system(EAFNOSUPPORT, call));
  }
  return address;
}

inet_diag_req_v2 request_for(const SocketIdentity& identity) {
  inet_diag_req_v2 request{};
  request.sdiag_family = static_cast<std::uint8_t>(identity.family);
  request.sdiag_protocol = IPPROTO_TCP;
  // The protocol's attributes come along with struct tcp_info, and not without (net/ipv4/
  // inet_diag.c, inet_sk_diag_fill).
  request.idiag_ext = 1U << (INET_DIAG_INFO - 1);
  request.idiag_states = UINT32_MAX;
  request.id.idiag_sport = identity.local_port;
  request.id.idiag_dport = identity.peer_port;
  std::memcpy(request.id.idiag_src, identity.local.data(), sizeof request.id.idiag_src);
  std::memcpy(request.id.idiag_dst, identity.peer.data(), sizeof request.id.idiag_dst);
  request.id.idiag_if = identity.device;
  // With the cookie another socket on the same addresses, such as the one after this, is ESTALE.
  request.id.idiag_cookie[0] = static_cast<std::uint32_t>(identity.cookie);
  request.id.idiag_cookie[1] = static_cast<std::uint32_t>(identity.cookie >> 32U);
  return request;
}

// One answer of sock_diag.
struct Answer {
  std::unique_ptr<unsigned char, FreeBytes> owner;
  const inet_diag_msg* message;
  std::span<const std::uint8_t> attributes;
};

// Errors: kSystem, ENOENT where there is no such socket; kDecodeError.
Result<Answer> ask(const SocketIdentity& identity) {
  inet_diag_req_v2 request = request_for(identity);
  const NetlinkSocket socket(nl_socket_alloc());
  const NetlinkMessage message(nlmsg_alloc_simple(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST));
  if (!socket || !message || nlmsg_append(message.get(), &request, sizeof request, 0) != 0) {
    return fail(Error::system(ENOMEM, "sock_diag"));
  }
  nl_socket_disable_auto_ack(socket.get());
  if (nl_connect(socket.get(), NETLINK_SOCK_DIAG) != 0) return netlink_error("socket(netlink)");
  // sock_diag has answered when the question is sent (net/core/sock_diag.c, sock_diag_rcv), so
  // there is nothing to wait for, not even where a seccomp profile swallows the question.
  if (nl_socket_set_nonblocking(socket.get()) != 0) return netlink_error("fcntl(netlink)");
  if (nl_send_auto(socket.get(), message.get()) < 0) return netlink_error("sendmsg(netlink)");
  sockaddr_nl from{};
  unsigned char* received = nullptr;
  const int size = nl_recv(socket.get(), &from, &received, nullptr);
  if (size <= 0) return netlink_error("recvmsg(netlink)");
  Answer answer{.owner = std::unique_ptr<unsigned char, FreeBytes>(received),
                .message = nullptr,
                .attributes = {}};
  auto* const header = reinterpret_cast<nlmsghdr*>(received);
  if (nlmsg_ok(header, size) == 0) return undecodable("sock_diag: answer");
  if (header->nlmsg_type == NLMSG_ERROR) {
    if (nlmsg_datalen(header) < static_cast<int>(sizeof(nlmsgerr))) {
      return undecodable("sock_diag: NLMSG_ERROR");
    }
    const auto* const error = static_cast<const nlmsgerr*>(nlmsg_data(header));
    return fail(Error::system(-error->error, "sock_diag"));
  }
  if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
      nlmsg_valid_hdr(header, sizeof(inet_diag_msg)) == 0) {
    return undecodable("sock_diag: answer");
  }
  answer.message = static_cast<const inet_diag_msg*>(nlmsg_data(header));
  answer.attributes = {
      reinterpret_cast<const std::uint8_t*>(nlmsg_attrdata(header, sizeof(inet_diag_msg))),
      static_cast<std::size_t>(nlmsg_attrlen(header, sizeof(inet_diag_msg)))};
  return answer;
}

std::uint64_t bytes_sent(std::span<const std::uint8_t> attributes) {
  auto* const head = reinterpret_cast<nlattr*>(const_cast<std::uint8_t*>(attributes.data()));
  const nlattr* const info = nla_find(head, static_cast<int>(attributes.size()), INET_DIAG_INFO);
  if (info == nullptr) return 0;
  return tcp_bytes_sent(
      {static_cast<const std::uint8_t*>(nla_data(info)), static_cast<std::size_t>(nla_len(info))});
}

class NetlinkSocketDiag final : public SocketDiag {
 public:
  Result<std::optional<UlpInfo>> ulp_info(int fd) override {
    KTLS_TRY(const SocketIdentity identity, identity_of(fd));
    KTLS_TRY(const Answer answer, ask(identity));
    return decode_ulp_info(answer.attributes);
  }
};

}  // namespace

Result<std::optional<UlpInfo>> decode_ulp_info(std::span<const std::uint8_t> attributes) {
  // libnl takes its attributes as not const, and does not write to them.
  auto* const head = reinterpret_cast<nlattr*>(const_cast<std::uint8_t*>(attributes.data()));
  std::array<nlattr*, INET_DIAG_MAX + 1> found{};
  if (nla_parse(found.data(), INET_DIAG_MAX, head, static_cast<int>(attributes.size()), nullptr) !=
      0) {
    return undecodable("sock_diag: attributes");
  }
  nlattr* const ulp = found[INET_DIAG_ULP_INFO];
  if (ulp == nullptr) return std::optional<UlpInfo>();

  std::array<nla_policy, INET_ULP_INFO_MAX + 1> policy{};
  policy[INET_ULP_INFO_NAME].type = NLA_STRING;
  std::array<nlattr*, INET_ULP_INFO_MAX + 1> inside{};
  if (nla_parse_nested(inside.data(), INET_ULP_INFO_MAX, ulp, policy.data()) != 0 ||
      inside[INET_ULP_INFO_NAME] == nullptr) {
    return undecodable("sock_diag: INET_DIAG_ULP_INFO");
  }
  UlpInfo info{.name = nla_get_string(inside[INET_ULP_INFO_NAME]), .tls = std::nullopt};
  if (nlattr* const tls = inside[INET_ULP_INFO_TLS]) {
    KTLS_TRY(info.tls, decode_tls_info(tls));
  }
  return std::optional(std::move(info));
}

Result<SocketIdentity> identity_of(int fd) {
  KTLS_TRY(const Address local, address_of(fd, &::getsockname, "getsockname"));
  KTLS_TRY(const Address peer, address_of(fd, &::getpeername, "getpeername"));
  SocketIdentity identity{.family = local.family,
                          .local_port = local.port,
                          .peer_port = peer.port,
                          .local = local.words,
                          .peer = peer.words};
  // A socket that is bound to a device, as all with link-local addresses are, is found there alone.
  int device = 0;
  socklen_t size = sizeof device;
  if (::getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device, &size) == 0) {
    identity.device = static_cast<std::uint32_t>(device);
  }
  size = sizeof identity.cookie;
  if (::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &identity.cookie, &size) != 0) {
    return fail(Error::system(errno, "getsockopt(SO_COOKIE)"));
  }
  return identity;
}

Result<std::optional<HeldSocket>> find_held_socket(const SocketIdentity& identity, bool was_found) {
  auto answer = ask(identity);
  if (!answer) {
    const bool is_missing =
        answer.error().sys_errno == ENOENT || answer.error().sys_errno == ESTALE;
    if (!is_missing) return fail(std::move(answer).error());
    if (!was_found) return fail(Error::system(EOPNOTSUPP, "sock_diag"));
    return std::optional<HeldSocket>();
  }
  // What is left there of a socket has its cookie and not its inode, whoever still has the socket
  // (net/ipv4/tcp_minisocks.c, tcp_time_wait).
  if (answer->message->idiag_state == TCP_TIME_WAIT) return std::optional<HeldSocket>();
  return std::optional(HeldSocket{.inode = answer->message->idiag_inode,
                                  .bytes_sent = bytes_sent(answer->attributes)});
}

SocketDiag& system_socket_diag() {
  static NetlinkSocketDiag diag;
  return diag;
}

}  // namespace ktls
