// TLS to PostgreSQL, with certificates that the openssl program makes.
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/contract/store/store_fixture.h"

namespace muster {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class PostgresTls : public ::testing::Test {
 protected:
  // One server and its certificates for all tests of the suite.
  static void SetUpTestSuite() {
    folder_ = new TempFolder;
    MakeAuthority("ca");
    MakeAuthority("other");
    const std::string d = folder_->path().string();
    Shell(
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost"
        " -addext subjectAltName=DNS:localhost -keyout " +
        d + "/server.key -out " + d + "/server.csr");
    Shell("openssl x509 -req -in " + d + "/server.csr -CA " + d + "/ca.pem -CAkey " + d +
          "/ca.key -days 2 -copy_extensions copy -out " + d + "/server.pem");
    auto server = PostgresServer::Start({.tcp = true,
                                         .certificate_pem = Text("server.pem"),
                                         .key_pem = Text("server.key"),
                                         .password = "pa/ss word"});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = server->release();
    ASSERT_TRUE(server_->Sql("CREATE ROLE ada LOGIN PASSWORD 'pa/ss word'").ok());
    ASSERT_TRUE(server_->Sql("CREATE DATABASE ada OWNER ada").ok());
  }
  static void TearDownTestSuite() {
    delete server_;
    delete folder_;
  }
  static void MakeAuthority(const std::string& name) {
    const std::string base = (folder_->path() / name).string();
    Shell(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=" +
        name + " -keyout " + base + ".key -out " + base + ".pem");
  }
  static void Shell(const std::string& command) {
    ASSERT_EQ(std::system((command + " 2>" + (folder_->path() / "openssl.log").string()).c_str()),
              0)
        << Text("openssl.log");
  }
  static std::string Text(const std::string& name) {
    std::stringstream text;
    text << std::ifstream(folder_->path() / name).rdbuf();
    return text.str();
  }
  static absl::Status Open(const std::string& host, const std::string& query,
                           const std::string& password = "pa%2Fss%20word") {
    return OpenPostgresStore({.url = StrCat("postgresql://ada:", password, "@", host, ":",
                                            server_->port(), "/ada?hostaddr=127.0.0.1&", query),
                              .away_timeout = {}})
        .status();
  }
  static std::string Root(const std::string& name) {
    return "sslrootcert=" + (folder_->path() / (name + ".pem")).string();
  }

  static inline TempFolder* folder_ = nullptr;
  static inline PostgresServer* server_ = nullptr;
};

TEST_F(PostgresTls, AServerIsTakenOnlyForTheNameThatItsAuthorityVouchesFor) {
  ASSERT_OK(Open("localhost", "sslmode=verify-full&" + Root("ca")));
  const absl::Status other_authority = Open("localhost", "sslmode=verify-full&" + Root("other"));
  EXPECT_TRUE(absl::IsUnavailable(other_authority)) << other_authority;
  EXPECT_THAT(std::string(other_authority.message()), HasSubstr("certificate"));
  const absl::Status other_name = Open("db.example.org", "sslmode=verify-full&" + Root("ca"));
  EXPECT_TRUE(absl::IsUnavailable(other_name)) << other_name;
  // Without sslmode the same holds for a server that is not on this machine.
  const absl::Status nothing_said = Open("db.example.org", Root("ca"));
  EXPECT_TRUE(absl::IsUnavailable(nothing_said)) << nothing_said;
  // The name may be left alone, when the URL says so.
  ASSERT_OK(Open("db.example.org", "sslmode=verify-ca&" + Root("ca")));
}

TEST_F(PostgresTls, AServerThatWantsTlsRefusesPlainText) {
  EXPECT_FALSE(Open("localhost", "sslmode=disable").ok());
}

TEST_F(PostgresTls, AWrongPasswordIsRefusedAtOnceAndNotRepeated) {
  const absl::Status refused =
      Open("localhost", "sslmode=verify-full&" + Root("ca"), "not-the-one");
  EXPECT_TRUE(absl::IsUnavailable(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("password authentication failed"));
  EXPECT_THAT(std::string(refused.message()), Not(HasSubstr("not-the-one")));
}

TEST_F(PostgresTls, ThePasswordMayComeFromThePasswordFile) {
  const std::filesystem::path file = folder_->path() / "pgpass";
  std::ofstream(file) << "*:*:*:ada:pa/ss word\n";
  std::filesystem::permissions(file, std::filesystem::perms::owner_read);
  ASSERT_EQ(::setenv("PGPASSFILE", file.c_str(), 1), 0);
  const absl::Status opened =
      OpenPostgresStore({.url = StrCat("postgresql://ada@localhost:", server_->port(),
                                       "/ada?hostaddr=127.0.0.1&sslmode=verify-full&", Root("ca")),
                         .away_timeout = {}})
          .status();
  ::unsetenv("PGPASSFILE");
  ASSERT_OK(opened);
}

}  // namespace
}  // namespace muster
