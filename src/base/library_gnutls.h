/* SPDX-License-Identifier: GPL-3.0-or-later */
/* GnuTLS, loaded when something needs it first. */
#ifndef BASE_LIBRARY_GNUTLS_H
#define BASE_LIBRARY_GNUTLS_H

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509-ext.h>
#include <gnutls/x509.h>

#include "base/library.h"

#define GNUTLS_CALLS(F) \
	F(gnutls_alert_get) \
	F(gnutls_alert_get_name) \
	F(gnutls_alert_send_appropriate) \
	F(gnutls_bye) \
	F(gnutls_certificate_allocate_credentials) \
	F(gnutls_certificate_client_get_request_status) \
	F(gnutls_certificate_free_credentials) \
	F(gnutls_certificate_get_ours) \
	F(gnutls_certificate_get_peers) \
	F(gnutls_certificate_get_trust_list) \
	F(gnutls_certificate_set_trust_list) \
	F(gnutls_certificate_set_verify_flags) \
	F(gnutls_certificate_set_x509_key_file) \
	F(gnutls_certificate_verification_status_print) \
	F(gnutls_certificate_verify_peers) \
	F(gnutls_ciphersuite_get) \
	F(gnutls_credentials_set) \
	F(gnutls_deinit) \
	F(gnutls_error_is_fatal) \
	F(gnutls_handshake) \
	F(gnutls_hash) \
	F(gnutls_hash_deinit) \
	F(gnutls_hash_fast) \
	F(gnutls_hash_init) \
	F(gnutls_hmac_fast) \
	F(gnutls_init) \
	F(gnutls_load_file) \
	F(gnutls_pbkdf2) \
	F(gnutls_priority_deinit) \
	F(gnutls_priority_init) \
	F(gnutls_priority_set_direct) \
	F(gnutls_privkey_deinit) \
	F(gnutls_privkey_get_pk_algorithm) \
	F(gnutls_privkey_import_x509_raw) \
	F(gnutls_privkey_init) \
	F(gnutls_privkey_sign_data2) \
	F(gnutls_privkey_sign_hash2) \
	F(gnutls_protocol_get_name) \
	F(gnutls_protocol_get_version) \
	F(gnutls_pubkey_deinit) \
	F(gnutls_pubkey_export2) \
	F(gnutls_pubkey_import_privkey) \
	F(gnutls_pubkey_import_x509) \
	F(gnutls_pubkey_init) \
	F(gnutls_record_check_pending) \
	F(gnutls_record_get_direction) \
	F(gnutls_record_recv) \
	F(gnutls_record_send) \
	F(gnutls_server_name_set) \
	F(gnutls_session_channel_binding) \
	F(gnutls_session_get_flags) \
	F(gnutls_session_get_ptr) \
	F(gnutls_session_set_ptr) \
	F(gnutls_session_set_verify_function) \
	F(gnutls_set_default_priority_append) \
	F(gnutls_strerror) \
	F(gnutls_transport_set_errno) \
	F(gnutls_transport_set_int2) \
	F(gnutls_transport_set_ptr2) \
	F(gnutls_transport_set_pull_function) \
	F(gnutls_transport_set_pull_timeout_function) \
	F(gnutls_x509_crl_deinit) \
	F(gnutls_x509_crl_get_next_update) \
	F(gnutls_x509_crl_list_import2) \
	F(gnutls_x509_crt_check_issuer) \
	F(gnutls_x509_crt_deinit) \
	F(gnutls_x509_crt_export2) \
	F(gnutls_x509_crt_get_activation_time) \
	F(gnutls_x509_crt_get_dn3) \
	F(gnutls_x509_crt_get_expiration_time) \
	F(gnutls_x509_crt_get_issuer_dn3) \
	F(gnutls_x509_crt_get_key_id) \
	F(gnutls_x509_crt_get_raw_dn) \
	F(gnutls_x509_crt_get_raw_issuer_dn) \
	F(gnutls_x509_crt_get_subject_alt_name) \
	F(gnutls_x509_crt_get_tlsfeatures) \
	F(gnutls_x509_crt_import) \
	F(gnutls_x509_crt_init) \
	F(gnutls_x509_tlsfeatures_deinit) \
	F(gnutls_x509_tlsfeatures_get) \
	F(gnutls_x509_tlsfeatures_init) \
	F(gnutls_x509_trust_list_add_cas) \
	F(gnutls_x509_trust_list_add_system_trust) \
	F(gnutls_x509_trust_list_add_trust_file) \
	F(gnutls_x509_trust_list_add_trust_mem) \
	F(gnutls_x509_trust_list_deinit) \
	F(gnutls_x509_trust_list_init) \
	F(gnutls_x509_trust_list_verify_crt2) \
	F(gnutls_free)

struct gnutls_calls {
	GNUTLS_CALLS(LIBRARY_MEMBER)
};

/* Loads it where nothing has yet. False: EX_OSERR. To be asked where a failure
 * can be told; without, the first call ends the process. */
bool gnutls_load(struct outcome *why) MUST_CHECK;
const struct gnutls_calls *gnutls_calls(void);

#define GNUTLS_CALL(function) gnutls_calls()->function

#define gnutls_alert_get GNUTLS_CALL(gnutls_alert_get)
#define gnutls_alert_get_name GNUTLS_CALL(gnutls_alert_get_name)
#define gnutls_alert_send_appropriate GNUTLS_CALL(gnutls_alert_send_appropriate)
#define gnutls_bye GNUTLS_CALL(gnutls_bye)
#define gnutls_certificate_allocate_credentials \
	GNUTLS_CALL(gnutls_certificate_allocate_credentials)
#define gnutls_certificate_client_get_request_status \
	GNUTLS_CALL(gnutls_certificate_client_get_request_status)
#define gnutls_certificate_free_credentials \
	GNUTLS_CALL(gnutls_certificate_free_credentials)
#define gnutls_certificate_get_ours GNUTLS_CALL(gnutls_certificate_get_ours)
#define gnutls_certificate_get_peers GNUTLS_CALL(gnutls_certificate_get_peers)
#define gnutls_certificate_get_trust_list \
	GNUTLS_CALL(gnutls_certificate_get_trust_list)
#define gnutls_certificate_set_trust_list \
	GNUTLS_CALL(gnutls_certificate_set_trust_list)
#define gnutls_certificate_set_verify_flags \
	GNUTLS_CALL(gnutls_certificate_set_verify_flags)
#define gnutls_certificate_set_x509_key_file \
	GNUTLS_CALL(gnutls_certificate_set_x509_key_file)
#define gnutls_certificate_verification_status_print \
	GNUTLS_CALL(gnutls_certificate_verification_status_print)
#define gnutls_certificate_verify_peers \
	GNUTLS_CALL(gnutls_certificate_verify_peers)
#define gnutls_ciphersuite_get GNUTLS_CALL(gnutls_ciphersuite_get)
#define gnutls_credentials_set GNUTLS_CALL(gnutls_credentials_set)
#define gnutls_deinit GNUTLS_CALL(gnutls_deinit)
#define gnutls_error_is_fatal GNUTLS_CALL(gnutls_error_is_fatal)
#define gnutls_handshake GNUTLS_CALL(gnutls_handshake)
#define gnutls_hash GNUTLS_CALL(gnutls_hash)
#define gnutls_hash_deinit GNUTLS_CALL(gnutls_hash_deinit)
#define gnutls_hash_fast GNUTLS_CALL(gnutls_hash_fast)
#define gnutls_hash_init GNUTLS_CALL(gnutls_hash_init)
#define gnutls_hmac_fast GNUTLS_CALL(gnutls_hmac_fast)
#define gnutls_init GNUTLS_CALL(gnutls_init)
#define gnutls_load_file GNUTLS_CALL(gnutls_load_file)
#define gnutls_pbkdf2 GNUTLS_CALL(gnutls_pbkdf2)
#define gnutls_priority_deinit GNUTLS_CALL(gnutls_priority_deinit)
#define gnutls_priority_init GNUTLS_CALL(gnutls_priority_init)
#define gnutls_priority_set_direct GNUTLS_CALL(gnutls_priority_set_direct)
#define gnutls_privkey_deinit GNUTLS_CALL(gnutls_privkey_deinit)
#define gnutls_privkey_get_pk_algorithm \
	GNUTLS_CALL(gnutls_privkey_get_pk_algorithm)
#define gnutls_privkey_import_x509_raw \
	GNUTLS_CALL(gnutls_privkey_import_x509_raw)
#define gnutls_privkey_init GNUTLS_CALL(gnutls_privkey_init)
#define gnutls_privkey_sign_data2 GNUTLS_CALL(gnutls_privkey_sign_data2)
#define gnutls_privkey_sign_hash2 GNUTLS_CALL(gnutls_privkey_sign_hash2)
#define gnutls_protocol_get_name GNUTLS_CALL(gnutls_protocol_get_name)
#define gnutls_protocol_get_version GNUTLS_CALL(gnutls_protocol_get_version)
#define gnutls_pubkey_deinit GNUTLS_CALL(gnutls_pubkey_deinit)
#define gnutls_pubkey_export2 GNUTLS_CALL(gnutls_pubkey_export2)
#define gnutls_pubkey_import_privkey GNUTLS_CALL(gnutls_pubkey_import_privkey)
#define gnutls_pubkey_import_x509 GNUTLS_CALL(gnutls_pubkey_import_x509)
#define gnutls_pubkey_init GNUTLS_CALL(gnutls_pubkey_init)
#define gnutls_record_check_pending GNUTLS_CALL(gnutls_record_check_pending)
#define gnutls_record_get_direction GNUTLS_CALL(gnutls_record_get_direction)
#define gnutls_record_recv GNUTLS_CALL(gnutls_record_recv)
#define gnutls_record_send GNUTLS_CALL(gnutls_record_send)
#define gnutls_server_name_set GNUTLS_CALL(gnutls_server_name_set)
#define gnutls_session_channel_binding \
	GNUTLS_CALL(gnutls_session_channel_binding)
#define gnutls_session_get_flags GNUTLS_CALL(gnutls_session_get_flags)
#define gnutls_session_get_ptr GNUTLS_CALL(gnutls_session_get_ptr)
#define gnutls_session_set_ptr GNUTLS_CALL(gnutls_session_set_ptr)
#define gnutls_session_set_verify_function \
	GNUTLS_CALL(gnutls_session_set_verify_function)
#define gnutls_set_default_priority_append \
	GNUTLS_CALL(gnutls_set_default_priority_append)
#define gnutls_strerror GNUTLS_CALL(gnutls_strerror)
#define gnutls_transport_set_errno GNUTLS_CALL(gnutls_transport_set_errno)
#define gnutls_transport_set_int2 GNUTLS_CALL(gnutls_transport_set_int2)
#define gnutls_transport_set_ptr2 GNUTLS_CALL(gnutls_transport_set_ptr2)
#define gnutls_transport_set_pull_function \
	GNUTLS_CALL(gnutls_transport_set_pull_function)
#define gnutls_transport_set_pull_timeout_function \
	GNUTLS_CALL(gnutls_transport_set_pull_timeout_function)
#define gnutls_x509_crl_deinit GNUTLS_CALL(gnutls_x509_crl_deinit)
#define gnutls_x509_crl_get_next_update \
	GNUTLS_CALL(gnutls_x509_crl_get_next_update)
#define gnutls_x509_crl_list_import2 \
	GNUTLS_CALL(gnutls_x509_crl_list_import2)
#define gnutls_x509_crt_check_issuer GNUTLS_CALL(gnutls_x509_crt_check_issuer)
#define gnutls_x509_crt_deinit GNUTLS_CALL(gnutls_x509_crt_deinit)
#define gnutls_x509_crt_export2 GNUTLS_CALL(gnutls_x509_crt_export2)
#define gnutls_x509_crt_get_activation_time \
	GNUTLS_CALL(gnutls_x509_crt_get_activation_time)
#define gnutls_x509_crt_get_dn3 GNUTLS_CALL(gnutls_x509_crt_get_dn3)
#define gnutls_x509_crt_get_expiration_time \
	GNUTLS_CALL(gnutls_x509_crt_get_expiration_time)
#define gnutls_x509_crt_get_issuer_dn3 \
	GNUTLS_CALL(gnutls_x509_crt_get_issuer_dn3)
#define gnutls_x509_crt_get_key_id GNUTLS_CALL(gnutls_x509_crt_get_key_id)
#define gnutls_x509_crt_get_raw_dn GNUTLS_CALL(gnutls_x509_crt_get_raw_dn)
#define gnutls_x509_crt_get_raw_issuer_dn \
	GNUTLS_CALL(gnutls_x509_crt_get_raw_issuer_dn)
#define gnutls_x509_crt_get_subject_alt_name \
	GNUTLS_CALL(gnutls_x509_crt_get_subject_alt_name)
#define gnutls_x509_crt_get_tlsfeatures \
	GNUTLS_CALL(gnutls_x509_crt_get_tlsfeatures)
#define gnutls_x509_crt_import GNUTLS_CALL(gnutls_x509_crt_import)
#define gnutls_x509_crt_init GNUTLS_CALL(gnutls_x509_crt_init)
#define gnutls_x509_tlsfeatures_deinit \
	GNUTLS_CALL(gnutls_x509_tlsfeatures_deinit)
#define gnutls_x509_tlsfeatures_get GNUTLS_CALL(gnutls_x509_tlsfeatures_get)
#define gnutls_x509_tlsfeatures_init GNUTLS_CALL(gnutls_x509_tlsfeatures_init)
#define gnutls_x509_trust_list_add_cas \
	GNUTLS_CALL(gnutls_x509_trust_list_add_cas)
#define gnutls_x509_trust_list_add_system_trust \
	GNUTLS_CALL(gnutls_x509_trust_list_add_system_trust)
#define gnutls_x509_trust_list_add_trust_file \
	GNUTLS_CALL(gnutls_x509_trust_list_add_trust_file)
#define gnutls_x509_trust_list_add_trust_mem \
	GNUTLS_CALL(gnutls_x509_trust_list_add_trust_mem)
#define gnutls_x509_trust_list_deinit GNUTLS_CALL(gnutls_x509_trust_list_deinit)
#define gnutls_x509_trust_list_init GNUTLS_CALL(gnutls_x509_trust_list_init)
#define gnutls_x509_trust_list_verify_crt2 \
	GNUTLS_CALL(gnutls_x509_trust_list_verify_crt2)
/* a variable of the library; its argument is looked at once */
#undef gnutls_free
#define gnutls_free (*gnutls_calls()->gnutls_free)

#endif
