// What <linux/tls.h> said when it was new, in Linux 4.13: one version, one cipher, one direction.
#pragma once

#include <linux/types.h>

#define TLS_TX 1

#define TLS_1_2_VERSION 0x0303

#define TLS_CIPHER_AES_GCM_128 51
#define TLS_CIPHER_AES_GCM_128_IV_SIZE 8
#define TLS_CIPHER_AES_GCM_128_KEY_SIZE 16
#define TLS_CIPHER_AES_GCM_128_SALT_SIZE 4
#define TLS_CIPHER_AES_GCM_128_REC_SEQ_SIZE 8

#define TLS_SET_RECORD_TYPE 1

struct tls_crypto_info {
  __u16 version;
  __u16 cipher_type;
};

struct tls12_crypto_info_aes_gcm_128 {
  struct tls_crypto_info info;
  unsigned char iv[TLS_CIPHER_AES_GCM_128_IV_SIZE];
  unsigned char key[TLS_CIPHER_AES_GCM_128_KEY_SIZE];
  unsigned char salt[TLS_CIPHER_AES_GCM_128_SALT_SIZE];
  unsigned char rec_seq[TLS_CIPHER_AES_GCM_128_REC_SEQ_SIZE];
};
