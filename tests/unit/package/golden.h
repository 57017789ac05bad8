// A signature file that the reference implementation of OpenSSF Model Signing 1.0
// (model-signing 1.1.1) made over a folder named "m" with manifest.json, sub/y and weights.f32, and
// the key it signed with.
#pragma once

namespace muster {

inline constexpr char kGoldenSignature[] =
    R"({"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publ)"
    R"(icKey":{"hint":"20e6ad2c74d17970605e6a307bc4dae42a38d949e1003f79b893d49e796d1980"},"tlogEn)"
    R"(tries":[]},"dsseEnvelope":{"payload":"ewogICJfdHlwZSI6ICJodHRwczovL2luLXRvdG8uaW8vU3RhdGVt)"
    R"(ZW50L3YxIiwKICAic3ViamVjdCI6IFsKICAgIHsKICAgICAgIm5hbWUiOiAibSIsCiAgICAgICJkaWdlc3QiOiB7Ci)"
    R"(AgICAgICAgInNoYTI1NiI6ICI0NmUxNjZiMzk5ZTc5NGYwZGNlZDc2ZDZhNGU3YzRjOTBlNTE0NDYxYTk0MjJlYTZh)"
    R"(NmE3Mjk4OWUwNjc0MGQwIgogICAgICB9CiAgICB9CiAgXSwKICAicHJlZGljYXRlVHlwZSI6ICJodHRwczovL21vZG)"
    R"(VsX3NpZ25pbmcvc2lnbmF0dXJlL3YxLjAiLAogICJwcmVkaWNhdGUiOiB7CiAgICAicmVzb3VyY2VzIjogWwogICAg)"
    R"(ICB7CiAgICAgICAgIm5hbWUiOiAibWFuaWZlc3QuanNvbiIsCiAgICAgICAgImFsZ29yaXRobSI6ICJzaGEyNTYiLA)"
    R"(ogICAgICAgICJkaWdlc3QiOiAiY2EzZDE2M2JhYjA1NTM4MTgyNzIyNjE0MDU2OGYzYmVmN2VhYWMxODdjZWJkNzY4)"
    R"(NzhlMGI2M2U5ZTQ0MjM1NiIKICAgICAgfSwKICAgICAgewogICAgICAgICJuYW1lIjogInN1Yi95IiwKICAgICAgIC)"
    R"(AiYWxnb3JpdGhtIjogInNoYTI1NiIsCiAgICAgICAgImRpZ2VzdCI6ICI3M2NiMzg1OGE2ODdhODQ5NGNhMzMyMzA1)"
    R"(MzAxNjI4MmYzZGFkMzlkNDJjZjYyY2E0ZTc5ZGRhMmFhYzdkOWFjIgogICAgICB9LAogICAgICB7CiAgICAgICAgIm)"
    R"(5hbWUiOiAid2VpZ2h0cy5mMzIiLAogICAgICAgICJhbGdvcml0aG0iOiAic2hhMjU2IiwKICAgICAgICAiZGlnZXN0)"
    R"(IjogImVkZWFhZmYzZjE3NzRhZDI4ODg2NzM3NzBjNmQ2NDA5N2UzOTFiYzM2MmQ3ZDZmYjM0OTgyZGRmMGVmZDE4Y2)"
    R"(IiCiAgICAgIH0KICAgIF0sCiAgICAic2VyaWFsaXphdGlvbiI6IHsKICAgICAgImlnbm9yZV9wYXRocyI6IFsKICAg)"
    R"(ICAgICAiLmdpdGh1YiIsCiAgICAgICAgIi5naXRpZ25vcmUiLAogICAgICAgICIuZ2l0IiwKICAgICAgICAiLmdpdG)"
    R"(F0dHJpYnV0ZXMiCiAgICAgIF0sCiAgICAgICJtZXRob2QiOiAiZmlsZXMiLAogICAgICAiaGFzaF90eXBlIjogInNo)"
    R"(YTI1NiIsCiAgICAgICJhbGxvd19zeW1saW5rcyI6IGZhbHNlCiAgICB9CiAgfQp9","payloadType":"applicati)"
    R"(on/vnd.in-toto+json","signatures":[{"sig":"MEYCIQDpO2sYPfotjQNiWW/m5Xm5XBXHnEBn3D58clIwBQm)"
    R"(+uwIhALXGga6lHTyTsxFYuuA4pxjY6mjmbl12LRT/vmgrVnOm","keyid":""}]}})";

inline constexpr char kGoldenPublicKey[] = R"(-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEofoF9qN2I6R4BHIIRh1FIVtAnAXC
scPWq82JW3r9PUbPLU108oJEsbyWg+FJGRWC1rCfXDLRKVqE+cUIk/sEfg==
-----END PUBLIC KEY-----
)";

}  // namespace muster
